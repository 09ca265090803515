//go:build tools

// Package tools pins the program that this module builds, so that `go mod tidy` completes go.sum.
package tools

import _ "go.etcd.io/etcd/server/v3"
