// Package caddymodule is Farebox inside Caddy: the app `meter`, which owns the
// ledger and the price book, and the handler of the same name, which meters
// requests. Everything that knows Caddy or serves HTTP is here; what a request
// costs and who may spend what is decided in package meter.
package caddymodule
