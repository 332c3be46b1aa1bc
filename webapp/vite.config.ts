import { svelte } from '@sveltejs/vite-plugin-svelte';
import { VitePWA } from 'vite-plugin-pwa';
import { defineConfig } from 'vitest/config';

const backend = 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [
    svelte(),
    VitePWA({
      strategies: 'injectManifest',
      srcDir: 'src',
      filename: 'sw.ts',
      registerType: 'autoUpdate',
      // The registration is imported by main.ts: a strict Content-Security-Policy allows no inline script.
      injectRegister: false,
      includeAssets: ['icon.svg', 'icon-192.png'],
      injectManifest: {
        globPatterns: ['**/*.{js,css,html,svg,png,webmanifest}'],
        // The map is for those who open it, and a map without its server shows nothing new.
        globIgnores: ['**/maplibre*', '**/SitePlan*'],
      },
      manifest: {
        name: 'Cordon',
        short_name: 'Cordon',
        description: 'Alerts from signposted live facial recognition deployments',
        lang: 'en-GB',
        start_url: '/',
        display: 'standalone',
        orientation: 'any',
        background_color: '#0b1f3f',
        theme_color: '#0b1f3f',
        icons: [
          { src: '/icon-192.png', sizes: '192x192', type: 'image/png' },
          { src: '/icon-512.png', sizes: '512x512', type: 'image/png' },
          { src: '/icon-maskable-512.png', sizes: '512x512', type: 'image/png', purpose: 'maskable' },
          { src: '/icon.svg', sizes: 'any', type: 'image/svg+xml' },
        ],
      },
    }),
  ],
  build: { target: 'es2022', assetsInlineLimit: 0, chunkSizeWarningLimit: 1200 },
  server: {
    proxy: {
      '/api': backend,
      '/media': backend,
      '/notice': backend,
      '/socket.io': { target: backend, ws: true },
    },
  },
  test: { include: ['src/**/*.test.ts'], environment: 'node' },
});
