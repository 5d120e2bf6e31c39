import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// `npm run dev` passes API calls on to a running `imagegen serve`.
const service = process.env.IMAGEGEN_SERVICE ?? "http://127.0.0.1:7860";

export default defineConfig({
  plugins: [svelte()],
  // Relative addresses: the page works under any path prefix.
  base: "./",
  server: { proxy: { "/api": { target: service, changeOrigin: true } } },
  build: {
    outDir: "../crates/server/page",
    emptyOutDir: true,
    target: "es2022",
    // Files of their own, so that the content security policy needs no exception.
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
  },
});
