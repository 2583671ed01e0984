import type { Viewport } from "next";
import type { ReactNode } from "react";
import { EARLY } from "./early";
import "./globals.css";

export const viewport: Viewport = {
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#faf5ec" },
    { media: "(prefers-color-scheme: dark)", color: "#17130f" },
  ],
};

/* No title and no description here: the server writes those of the page that was asked for
   (serve_app/site). */

export default function Layout({ children }: { children: ReactNode }) {
  return (
    <html lang="en" data-theme="light" suppressHydrationWarning>
      <head>
        {/* biome-ignore lint/security/noDangerouslySetInnerHtml: early.ts, allowed by its hash. */}
        <script dangerouslySetInnerHTML={{ __html: EARLY }} />
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <link rel="apple-touch-icon" href="/apple-touch-icon.png" />
        <link rel="manifest" href="/manifest.webmanifest" />
      </head>
      <body>
        {children}
        <noscript>
          <p className="page py-8">
            Serai needs JavaScript to take part. What is public can be read here without it.
          </p>
        </noscript>
      </body>
    </html>
  );
}
