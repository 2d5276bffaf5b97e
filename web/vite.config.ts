import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vite'

const hub = process.env.TOCSIN_HUB ?? 'http://127.0.0.1:7480'

export default defineConfig({
  base: '/console/',
  plugins: [svelte()],
  build: {
    target: 'es2022',
    outDir: 'dist',
    assetsInlineLimit: 0, // the policy allows no script and no style but from files
    modulePreload: { polyfill: false },
    sourcemap: false,
    license: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  server: { proxy: { '/v1': hub, '/docs': hub } },
})
