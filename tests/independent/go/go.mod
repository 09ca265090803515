module miax.dev/miax/tests/independent

go 1.26.0

require (
	github.com/klauspost/compress v1.20.4
	golang.org/x/mod v0.43.0
)
