package portal

import (
	_ "embed"
	"net/http"
)

// openAPIDocument describes the portal API and the operator's API (OpenAPI 3.1).
//
//go:embed openapi.json
var openAPIDocument []byte

func (p *Portal) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(openAPIDocument)
}
