import { fileURLToPath } from 'node:url'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import vue from '@vitejs/plugin-vue'
import { defineConfig, type Plugin } from 'vite'

// The node that the development server passes /v1 to.
const node = process.env.GONGFU_URL ?? 'http://127.0.0.1:8642'

const output = fileURLToPath(new URL('../gongfu/web/static', import.meta.url))

/** Beside every text file its gzip, so that the node need not compress (gongfu/web/static.py). */
function gzipped(): Plugin {
  return {
    name: 'gzipped',
    apply: 'build',
    closeBundle() {
      for (const name of readdirSync(output, { recursive: true, encoding: 'utf8' })) {
        if (!/\.(js|css|html|svg)$/.test(name)) continue
        const content = readFileSync(join(output, name))
        if (content.length > 1024) writeFileSync(join(output, `${name}.gz`), gzipSync(content, { level: 9 }))
      }
    },
  }
}

export default defineConfig({
  plugins: [vue(), gzipped()],
  define: { __VUE_I18N_FULL_INSTALL__: false, __VUE_I18N_LEGACY_API__: false, __INTLIFY_PROD_DEVTOOLS__: false },
  resolve: { alias: { '@': fileURLToPath(new URL('./src', import.meta.url)) } },
  build: {
    outDir: output,
    emptyOutDir: true,
    // /assets is the page of that name.
    assetsDir: 'assets-static',
    target: 'chrome100',
    // Nothing becomes a data: address, so that the content security policy can stay strict.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 400,
    reportCompressedSize: false,
  },
  server: { proxy: { '/v1': { target: node, changeOrigin: true } } },
})
