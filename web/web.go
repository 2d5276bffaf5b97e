//go:build !small

// Package web is the console: the pages in dist, which Vite builds out of src, and
// the handler that gives them to browsers. They are public: they hold no data, and
// ask the API for all that they show. Whoever changes src builds dist anew (npm run
// build); make check sees to it that the two agree.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

//go:embed dist
var dist embed.FS

// Folder is where the console lives on a hub.
const Folder = "/console/"

// policy is the Content-Security-Policy: nothing from elsewhere, nothing written
// into a page, and HTML out of strings only by the framework itself.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html"

// A file is one file of dist as it is sent.
type file struct {
	kind   string
	tag    string
	plain  []byte
	packed []byte // by gzip; nil where that gains nothing
	named  bool   // its name holds a hash of what is in it
}

// Handler serves the console below [Folder]. An address that is no file is a page
// of the console, and gets index.html.
func Handler() http.Handler {
	files := read()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "the console is only to be read: the API is at /v1/", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, Folder)
		f, ok := files[name]
		switch {
		case ok && f.named:
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		case !ok && strings.HasPrefix(name, "assets/"):
			// Of another version of the console: a page in its place would be taken
			// for a script.
			h.Set("Cache-Control", "no-store")
			http.Error(w, "not of this version of the console: load the page anew", http.StatusNotFound)
			return
		default:
			if !ok {
				f = files["index.html"]
			}
			h.Set("Cache-Control", "no-store")
		}
		f.serve(w, r)
	})
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	body, tag := f.plain, `"`+f.tag+`"`
	if f.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			body, tag = f.packed, `"`+f.tag+`-gz"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", tag)
	// ServeContent answers to If-None-Match; it does not know the length of what has
	// an encoding.
	if h.Get("Content-Encoding") != "" && r.Header.Get("If-None-Match") == "" && r.Header.Get("Range") == "" {
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	r.Header.Del("Range")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// acceptsGzip reads Accept-Encoding (RFC 9110, section 12.5.3).
func acceptsGzip(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			q = strings.ReplaceAll(strings.ToLower(q), " ", "")
			return q != "q=0" && !strings.HasPrefix(q, "q=0.0")
		}
	}
	return false
}

// kinds are set here: what a machine's own table says of them differs.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
	".svg": "image/svg+xml", ".woff2": "font/woff2", ".png": "image/png", ".json": "application/json",
}

// read packs every file. What is embedded is there: an error is the program's own.
func read() map[string]*file {
	files := map[string]*file{}
	err := fs.WalkDir(dist, "dist", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(dist, p)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(b)
		f := &file{kind: kinds[path.Ext(p)], tag: hex.EncodeToString(sum[:12]), plain: b, named: strings.HasPrefix(p, "dist/assets/")}
		if f.kind == "" {
			f.kind = mime.TypeByExtension(path.Ext(p))
		}
		f.packed = pack(b)
		files[strings.TrimPrefix(p, "dist/")] = f
		return nil
	})
	if err != nil {
		panic(err)
	}
	return files
}

// pack returns b by gzip, or nil if that is not shorter by a tenth.
func pack(b []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is one that there is
	_, _ = z.Write(b)                                       // a buffer takes everything
	_ = z.Close()
	if out.Len() > len(b)*9/10 {
		return nil
	}
	return out.Bytes()
}
