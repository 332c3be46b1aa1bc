/// <reference lib="webworker" />
/**
 * Keeps the shell so that the app opens without signal. It never touches what the server says: answers under /api,
 * pictures and the socket pass by untouched, so that nothing personal comes to lie in a browser cache.
 */
import { cleanupOutdatedCaches, createHandlerBoundToURL, precacheAndRoute } from 'workbox-precaching';

declare const self: ServiceWorkerGlobalScope;

const SERVER_ONLY = /^\/(api|media|notice|socket\.io|health|ingest)(\/|$)/;

precacheAndRoute(self.__WB_MANIFEST);
cleanupOutdatedCaches();

const shell = createHandlerBoundToURL('/index.html');

self.addEventListener('fetch', (event) => {
  const url = new URL(event.request.url);
  if (event.request.mode !== 'navigate' || url.origin !== self.location.origin || SERVER_ONLY.test(url.pathname)) return;
  event.respondWith(shell({ request: event.request, url, event }));
});

self.addEventListener('install', () => void self.skipWaiting());
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
