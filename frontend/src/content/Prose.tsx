import { useEffect, useRef } from "react";
import { API_ORIGIN } from "@/api/origin";
import { accessToken } from "@/session/session";
import { fetchFile, followLink, isOwnFile, withOrigin } from "./ownFiles";

/**
 * Text of a member as the server rendered and sanitised it. Pictures of private groups are refused to
 * an <img>, which sends no token: those are fetched with it and shown from memory. So are files that
 * links lead to.
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
      if (!isOwnFile(address) || accessToken() === null) return;
      const response = await fetchFile(address).catch(() => null);
      if (!response) return;
      const url = URL.createObjectURL(await response.blob());
      made.push(url);
      picture.src = url;
    };
    const onError = (event: Event) => {
      if (event.target instanceof HTMLImageElement) void fetchPicture(event.target);
    };
    element.addEventListener("error", onError, true);
    element.addEventListener("click", followLink);
    element.addEventListener("auxclick", followLink);
    // What failed before anybody listened.
    for (const picture of element.querySelectorAll("img"))
      if (picture.complete && picture.naturalWidth === 0) void fetchPicture(picture);
    return () => {
      element.removeEventListener("error", onError, true);
      element.removeEventListener("click", followLink);
      element.removeEventListener("auxclick", followLink);
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
      dangerouslySetInnerHTML={{ __html: withOrigin(html, API_ORIGIN) }}
    />
  );
}
