// Builds the chat widget and its demo page into dist/chat/, after the console (vite.config.ts) is in dist/.
import { defineConfig } from 'vite';

export default defineConfig({
  publicDir: 'chat/public',
  build: {
    target: 'es2022',
    outDir: 'dist/chat',
    emptyOutDir: true,
    sourcemap: false,
    // One classic script, which alone can tell where it came from.
    lib: { entry: 'chat/main.ts', formats: ['iife'], name: 'sportelloChat', fileName: () => 'widget.js' },
  },
});
