import { createHash } from 'node:crypto'
import { vitePreprocess } from '@sveltejs/vite-plugin-svelte'

export default {
  preprocess: vitePreprocess(),
  compilerOptions: {
    // The class that scopes a component's styles follows from the styles, and from
    // no path: the same sources give the same files on every machine.
    cssHash: ({ css }) => 's' + createHash('sha256').update(css).digest('hex').slice(0, 8),
  },
}
