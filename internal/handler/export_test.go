package handler

import (
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/handler/endpoint"
)

// Row is a row of the table of routes.
type Row struct {
	Method, Pattern string
	Needs           auth.Verbs
}

// Table is every route of the server.
func Table() (rows []Row) {
	for _, r := range routes(endpoint.New(Config{})) {
		rows = append(rows, Row{r.method, r.pattern, r.needs})
	}
	return rows
}
