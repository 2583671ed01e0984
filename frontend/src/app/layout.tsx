import type { Viewport } from "next";
import type { ReactNode } from "react";
import "./globals.css";

export const viewport: Viewport = {
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#faf5ec" },
    { media: "(prefers-color-scheme: dark)", color: "#17130f" },
  ],
};

/* Before the first paint: the theme, and the direction of the language that was chosen. No title and
   no description here: the server writes those of the page that was asked for (serve_app/site). */
const EARLY = `try{var d=document.documentElement,s=localStorage,t=s.getItem("serai.theme"),l=s.getItem("serai.language");
d.dataset.theme=t||(matchMedia("(prefers-color-scheme: dark)").matches?"dark":"light");
if(l){d.lang=l;if(l=="ar")d.dir="rtl"}}catch(e){}`;

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" data-theme="light" suppressHydrationWarning>
      <head>
        {/* biome-ignore lint/security/noDangerouslySetInnerHtml: the text above, allowed by its hash. */}
        <script dangerouslySetInnerHTML={{ __html: EARLY }} />
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <link rel="manifest" href="/manifest.webmanifest" />
      </head>
      <body>{children}</body>
    </html>
  );
}
