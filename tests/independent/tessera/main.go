// Command fsck runs Tessera's integrity check over an archive of Miax, read from its directory as Tessera reads a log of its
// own: every bundle is hashed, every tile and the root are computed again and compared.
//
//	fsck KEY ARCHIVE
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/klog/v2"
)

func main() {
	// Tessera tells its progress; only what it answers matters here.
	klog.InitFlags(nil)
	_ = flag.Set("logtostderr", "false")
	_ = flag.Set("stderrthreshold", "FATAL")
	klog.SetOutput(os.Stderr)
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
	fmt.Println("verified")
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("fsck KEY ARCHIVE")
	}
	verifier, err := note.NewVerifier(args[0])
	if err != nil {
		return err
	}
	source := client.FileFetcher{Root: args[1]}
	return fsck.New(verifier.Name(), verifier, source, leaves, fsck.Opts{N: 1}).Check(context.Background())
}

// leaves hashes the entries of a bundle.
func leaves(bundle []byte) ([][]byte, error) {
	var entries api.EntryBundle
	if err := entries.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	hashes := [][]byte{}
	for _, entry := range entries.Entries {
		hashes = append(hashes, rfc6962.DefaultHasher.HashLeaf(entry))
	}
	return hashes, nil
}
