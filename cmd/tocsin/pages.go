//go:build !small

package main

import (
	"net/http"

	"github.com/tocsin-io/tocsin/docs"
	"github.com/tocsin-io/tocsin/web"
)

// hubPages are what a hub shows to anybody with a browser, by folder: they hold no
// data of its own.
func hubPages() (map[string]http.Handler, error) {
	manual, err := docs.New()
	if err != nil {
		return nil, err
	}
	return map[string]http.Handler{
		web.Folder:  web.Handler(),
		docs.Folder: manual,
		"/{$}":      http.RedirectHandler(web.Folder, http.StatusFound),
	}, nil
}
