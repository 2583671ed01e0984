import type { NextConfig } from "next";

const config: NextConfig = {
  output: "export",
  reactStrictMode: true,
  // `make check` does, once for all: a start must not wait for it.
  typescript: { ignoreBuildErrors: true },
  images: { unoptimized: true },
  // The same sources make the same files, wherever they are built.
  generateBuildId: async () => "serai",
  // Pages on another origin than the API (a CDN): SERAI_API_ORIGIN=https://api.example.org at build.
  env: { API_ORIGIN: (process.env.SERAI_API_ORIGIN ?? "").replace(/\/$/, "") },
};

export default config;
