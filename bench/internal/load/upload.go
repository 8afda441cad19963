package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/pursestring/pursestring/bench/internal/mock"
)

// uploadBlock is what a large body is made of.
const uploadBlock = 256 << 10

// Uploads sends count bodies of size bytes at once, each on a connection of its
// own, and returns when all are answered or ctx ends. Body counts the bytes of
// the answers.
func Uploads(ctx context.Context, addr string, count int, size int64) *Result {
	result := &Result{}
	block := make([]byte, uploadBlock)
	for i := range block {
		block[i] = 'a'
	}
	start := time.Now()
	var wg sync.WaitGroup
	for range count {
		wg.Go(func() {
			begun := time.Now()
			answer, err := upload(ctx, addr, block, size)
			if err != nil {
				result.fail(err)
				return
			}
			result.take(answer, time.Since(begun))
		})
	}
	wg.Wait()
	result.Elapsed = time.Since(start)
	return result
}

// upload sends one chat call whose only message is size bytes long, or nearly.
func upload(ctx context.Context, addr string, block []byte, size int64) (Answer, error) {
	c, err := dial(ctx, addr, "", 8<<10)
	if err != nil {
		return Answer{}, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()

	const before = `{"model":"` + mock.Model + `","max_tokens":300,"messages":[{"role":"user","content":"`
	const after = `"}]}`
	if _, err := c.Write(append(chatHead(mock.Wish{}, int64(len(before))+size+int64(len(after))), before...)); err != nil {
		return Answer{}, err
	}
	for left := size; left > 0; {
		n, err := c.Write(block[:min(left, int64(len(block)))])
		if err != nil {
			return Answer{}, fmt.Errorf("send body, %d of %d bytes left: %w", left, size, err)
		}
		left -= int64(n)
	}
	if _, err := c.Write([]byte(after)); err != nil {
		return Answer{}, err
	}
	answer, _, err := c.receive()
	return answer, err
}
