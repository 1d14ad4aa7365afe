// Builds the console into dist/, which the daemon embeds and serves at `/`.
import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { PurgeCSS } from 'purgecss';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

/** Keeps of bootstrap-italia's prebuilt sheet (612 kB) only the rules whose words occur in our sources. */
function usedRulesOnly(): Plugin {
  return {
    name: 'used-rules-only',
    apply: 'build',
    enforce: 'pre',
    async load(id) {
      const path = id.split('?')[0] ?? id;
      if (!path.endsWith('bootstrap-italia.min.css')) return null;
      const [result] = await new PurgeCSS().purge({
        content: ['src/**/*.svelte', 'src/**/*.ts', 'index.html'],
        css: [{ raw: readFileSync(path, 'utf8') }],
        fontFace: true,
        keyframes: true,
      });
      return result?.css.replace(/\/\*# sourceMappingURL=.*?\*\//g, '') ?? null;
    },
  };
}

/** Where `npm run dev` finds a daemon or the mock server. */
const backend = process.env['SPORTELLO_URL'] ?? 'http://127.0.0.1:8080';

export default defineConfig({
  base: './',
  plugins: [usedRulesOnly(), svelte()],
  // Nothing becomes a data: URI: the policy is `font-src 'self'`.
  build: { target: 'es2022', assetsInlineLimit: 0, sourcemap: false, reportCompressedSize: true },
  server: { proxy: { '/api': { target: backend, ws: true } } },
  test: { include: ['tests/**/*.test.ts'], environment: 'node' },
});
