//go:build tools

// Package tools pins the programs that this module builds, so that `go mod tidy` completes go.sum.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
