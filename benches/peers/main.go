// Command peers measures the logs that Miax is compared with, in the same run and on the same machine: Tessera's POSIX driver,
// and the tree of Go's checksum database. It prints lines "NAME VALUE".
//
//	peers tessera DIR SECONDS BATCH [RATE]
//	peers tlog ENTRIES
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"k8s.io/klog/v2"
)

const (
	// entrySize is that of a decision of Miax, before packing.
	entrySize = 450
	// atOnce is how many entries wait in a closed loop: as many as in Miax's own benchmark.
	atOnce = 1024
)

func main() {
	klog.InitFlags(nil)
	_ = flag.Set("logtostderr", "false")
	klog.SetOutput(io.Discard)
	flag.Parse()
	if err := run(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) >= 4 && args[0] == "tessera":
		numbers, err := integers(append(args[2:3:3], args[4:]...))
		if err != nil {
			return err
		}
		batch, err := time.ParseDuration(args[3])
		if err != nil {
			return err
		}
		seconds := time.Duration(numbers[0]) * time.Second
		if len(numbers) > 1 {
			return openLoop(args[1], seconds, batch, numbers[1])
		}
		return closedLoop(args[1], seconds, batch)
	case len(args) == 2 && args[0] == "tlog":
		numbers, err := integers(args[1:])
		if err != nil {
			return err
		}
		return tree(numbers[0])
	default:
		return errors.New("tessera DIR SECONDS BATCH [RATE], or tlog ENTRIES")
	}
}

func integers(texts []string) ([]int, error) {
	numbers := []int{}
	for _, text := range texts {
		number, err := strconv.Atoi(text)
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	return numbers, nil
}

// entry is unlike every other one.
func entry(number int) []byte {
	bytes := make([]byte, entrySize)
	binary.BigEndian.PutUint64(bytes, uint64(number))
	return bytes
}

func appender(ctx context.Context, dir string, batch time.Duration) (*tessera.Appender, func(context.Context) error, error) {
	secret, _, err := note.GenerateKey(rand.Reader, "bench")
	if err != nil {
		return nil, nil, err
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		return nil, nil, err
	}
	driver, err := posix.New(ctx, posix.Config{Path: dir})
	if err != nil {
		return nil, nil, err
	}
	// A bundle is what a full block of Miax is.
	options := tessera.NewAppendOptions().WithCheckpointSigner(signer).WithBatching(256, batch).WithCheckpointInterval(time.Second)
	appender, shutdown, _, err := tessera.NewAppender(ctx, driver, options)
	return appender, shutdown, err
}

// closedLoop appends as much as goes.
func closedLoop(dir string, duration time.Duration, batch time.Duration) error {
	ctx := context.Background()
	log, shutdown, err := appender(ctx, dir, batch)
	if err != nil {
		return err
	}
	started := time.Now()
	done := make([]int, atOnce)
	failed := make([]error, atOnce)
	var callers sync.WaitGroup
	for caller := range atOnce {
		callers.Go(func() {
			for number := caller; time.Since(started) < duration; number += atOnce {
				if _, err := log.Add(ctx, tessera.NewEntry(entry(number)))(); err != nil {
					failed[caller] = err
					return
				}
				done[caller]++
			}
		})
	}
	callers.Wait()
	elapsed := time.Since(started)
	if err := errors.Join(append(failed, shutdown(ctx))...); err != nil {
		return err
	}
	total := 0
	for _, count := range done {
		total += count
	}
	fmt.Printf("per-second %.0f\n", float64(total)/elapsed.Seconds())
	return nil
}

// openLoop appends at a fixed rate, whether or not answers come back.
func openLoop(dir string, duration time.Duration, batch time.Duration, rate int) error {
	ctx := context.Background()
	log, shutdown, err := appender(ctx, dir, batch)
	if err != nil {
		return err
	}
	count := rate * int(duration.Seconds())
	latencies := make([]time.Duration, count)
	failed := make([]error, count)
	ticks := time.NewTicker(time.Second / time.Duration(rate))
	var answers sync.WaitGroup
	for number := range count {
		<-ticks.C
		answers.Go(func() {
			started := time.Now()
			_, failed[number] = log.Add(ctx, tessera.NewEntry(entry(number)))()
			latencies[number] = time.Since(started)
		})
	}
	answers.Wait()
	if err := errors.Join(append(failed, shutdown(ctx))...); err != nil {
		return err
	}
	slices.Sort(latencies)
	fmt.Printf("median-us %d\n", latencies[count/2].Microseconds())
	fmt.Printf("p99-us %d\n", latencies[count*99/100].Microseconds())
	return nil
}

// hashes is a tree in memory.
type hashes []tlog.Hash

// ReadHashes gives the hashes at these places.
func (h hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		found[i] = h[index]
	}
	return found, nil
}

// tree hashes entries into a tree, and proves and verifies the inclusion of one of them.
func tree(count int) error {
	var stored hashes
	bytes := entry(0)
	started := time.Now()
	for number := range count {
		binary.BigEndian.PutUint64(bytes, uint64(number))
		more, err := tlog.StoredHashes(int64(number), bytes, stored)
		if err != nil {
			return err
		}
		stored = append(stored, more...)
	}
	root, err := tlog.TreeHash(int64(count), stored)
	if err != nil {
		return err
	}
	fmt.Printf("tree-per-second %.0f\n", float64(count)/time.Since(started).Seconds())

	index := int64(count / 3)
	proof, err := tlog.ProveRecord(int64(count), index, stored)
	if err != nil {
		return err
	}
	leaf := stored[tlog.StoredHashIndex(0, index)]
	const checks = 100_000
	started = time.Now()
	for range checks {
		if err := tlog.CheckRecord(proof, int64(count), root, index, leaf); err != nil {
			return err
		}
	}
	fmt.Printf("proof-hashes %d\n", len(proof))
	fmt.Printf("proofs-per-second %.0f\n", checks/time.Since(started).Seconds())
	return nil
}
