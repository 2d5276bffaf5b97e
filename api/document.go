package api

import _ "embed" // the document

// Document is the OpenAPI 3.1 description of all that an [API] does, as JSON. A
// test holds it to what the handlers answer.
//
//go:embed openapi.json
var Document []byte
