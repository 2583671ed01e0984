/** Uploaded files in the texts of members: where they are, and how those of private groups are opened. */
import { API_ORIGIN } from "@/api/origin";
import { Problem } from "@/api/problem";
import { t } from "@/i18n/i18n";
import { accessToken, refreshSession } from "@/session/session";
import { refuse } from "@/ui/refuse";
import { toast } from "@/ui/Toasts";

const PATH = "/api/v1/media/";
/** Up to an address of ours in a tag. In text no "<" stands for itself, in values no quote. */
const ADDRESS = /(<(?:a|img)\s(?:[^>"]|"[^"]*")*?(?:href|src)=")(?=\/api\/v1\/media\/)/g;
/** What may be shown in a tab, as a page of this origin; everything else is saved. */
const PICTURES = new Set(["image/jpeg", "image/png", "image/webp"]);
/** A file is in memory for as long as its address is good; a tab or a download needs it for a moment. */
const KEPT_MS = 60_000;
const SLOW_MS = 600;

/** The text with addresses of files at the API's origin; "" is the page's own. */
export function withOrigin(html: string, origin: string): string {
  return origin === "" ? html : html.replace(ADDRESS, (opening) => opening + origin);
}

/** The name in a Content-Disposition (RFC 6266). */
export function fileName(disposition: string | null): string | null {
  const [, coded, plain] =
    /filename\*=UTF-8''([^;]+)|filename="([^"]+)"$/.exec(disposition ?? "") ?? [];
  try {
    return coded ? decodeURIComponent(coded) : (plain ?? null);
  } catch {
    return null;
  }
}

export function isOwnFile(address: string): boolean {
  return address.startsWith(API_ORIGIN + PATH);
}

/** With the reader's token, as private groups ask for it. Raises `Problem`. */
export async function fetchFile(address: string): Promise<Response> {
  const send = (token: string | null) =>
    fetch(address, token === null ? {} : { headers: { Authorization: `Bearer ${token}` } });
  let response: Response;
  try {
    response = await send(accessToken());
    if (response.status === 401) response = await send(await refreshSession());
  } catch (error) {
    throw Problem.from(error);
  }
  if (!response.ok) throw await Problem.of(response);
  return response;
}

/** A link sends no token: what is not for everybody is fetched with it and opened from memory. */
export function followLink(event: MouseEvent): void {
  const link = event.target instanceof Element ? event.target.closest("a") : null;
  const address = link?.getAttribute("href") ?? "";
  if (!link || !isOwnFile(address) || accessToken() === null || event.button > 1) return;
  const picture = link.querySelector("img");
  // Shown without a token, so everybody's: the browser follows the link.
  if (picture && picture.naturalWidth > 0 && !picture.src.startsWith("blob:")) return;
  event.preventDefault();
  if (link.hasAttribute("aria-busy")) return;
  const isAside = event.button === 1 || event.ctrlKey || event.metaKey || event.shiftKey;
  // In the click itself: later, browsers take it for a popup.
  const tab = picture ? window.open("", "_blank") : null;
  void open(link, address, tab, isAside);
}

async function open(
  link: HTMLAnchorElement,
  address: string,
  tab: Window | null,
  isAside: boolean,
): Promise<void> {
  link.setAttribute("aria-busy", "true");
  const slow = setTimeout(() => toast(t("shell.loading")), SLOW_MS);
  try {
    if (!tab && (await isPublic(address))) {
      if (isAside) window.open(address, "_blank", "noopener");
      else window.location.assign(address);
      return;
    }
    const response = await fetchFile(address);
    const name = fileName(response.headers.get("Content-Disposition")) ?? link.textContent.trim();
    show(await response.blob(), name || "file", tab);
  } catch (error) {
    tab?.close();
    refuse(error);
  } finally {
    clearTimeout(slow);
    link.removeAttribute("aria-busy");
  }
}

async function isPublic(address: string): Promise<boolean> {
  const response = await fetch(address, {
    method: "HEAD",
    credentials: "omit",
    redirect: "manual",
  });
  // To a bucket, which is not asked: only who may read is told where.
  return response.ok || response.type === "opaqueredirect";
}

function show(file: Blob, name: string, tab: Window | null): void {
  const url = URL.createObjectURL(file);
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
  if (tab && PICTURES.has(file.type)) {
    tab.location.replace(url);
    return;
  }
  tab?.close();
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
}
