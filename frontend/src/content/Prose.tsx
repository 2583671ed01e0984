import { useEffect, useRef } from "react";
import { API_ORIGIN } from "@/api/origin";
import { accessToken } from "@/session/session";

/**
 * Text of a member as the server rendered and sanitised it. Pictures of private groups are refused to
 * an <img>, which sends no token: those are fetched with it and shown from memory.
 */
export function Prose({
  html,
  language,
  className = "",
}: {
  html: string;
  language: string;
  className?: string;
}) {
  const text = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = text.current;
    if (!element) return;
    const made: string[] = [];
    const fetchPicture = async (picture: HTMLImageElement) => {
      const address = picture.getAttribute("src") ?? "";
      const token = accessToken();
      if (!address.startsWith("/api/v1/media/") || token === null) return;
      const response = await fetch(API_ORIGIN + address, {
        headers: { Authorization: `Bearer ${token}` },
      }).catch(() => null);
      if (!response?.ok) return;
      const url = URL.createObjectURL(await response.blob());
      made.push(url);
      picture.src = url;
    };
    const onError = (event: Event) => {
      if (event.target instanceof HTMLImageElement) void fetchPicture(event.target);
    };
    element.addEventListener("error", onError, true);
    // What failed before anybody listened.
    for (const picture of element.querySelectorAll("img"))
      if (picture.complete && picture.naturalWidth === 0) void fetchPicture(picture);
    return () => {
      element.removeEventListener("error", onError, true);
      for (const url of made) URL.revokeObjectURL(url);
    };
  }, []);
  return (
    <div
      ref={text}
      className={`prose ${className}`}
      dir="auto"
      lang={language}
      // biome-ignore lint/security/noDangerouslySetInnerHtml: sanitised by the server
      dangerouslySetInnerHTML={{ __html: html }}
    />
  );
}
