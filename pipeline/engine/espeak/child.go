package espeak

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// child is a running espeak-ng.
//
// It answers a line with any number of lines, so the end of an answer has to be marked: after each line the
// child is given a password to read, nonsense made up at its start that no text can know, and whatever comes
// before that password's phonemes is the answer.
type child struct {
	cmd      *exec.Cmd
	in       *os.File
	out      *os.File
	lines    *bufio.Reader
	password string
	spoken   string // the password as the child writes it
}

var (
	errSilent = errors.New("espeak-ng gives no answer")
	errMixed  = errors.New("espeak-ng answered something that was not asked")
)

// launch starts a child and learns how it speaks its password.
func launch(ctx context.Context, argv []string, timeout time.Duration) (*child, error) {
	inR, inW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pipe: %w", err), inR.Close(), inW.Close())
	}
	// The child outlives the call that starts it; it ends when its input does, also when this process is killed.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout = inR, outW
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the terminal is not for it
	c := &child{cmd: cmd, in: inW, out: outR, lines: bufio.NewReader(outR), password: nonsense()}
	err = cmd.Start()
	_, _ = inR.Close(), outW.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), inW.Close(), outR.Close())
	}
	if err := c.greet(ctx, timeout); err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// greet has the password read twice: both must come out alike.
func (c *child) greet(ctx context.Context, timeout time.Duration) error {
	defer c.limit(ctx, timeout)()
	if _, err := io.WriteString(c.in, c.password+"\n"+c.password+"\n"); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	var said [2]string
	for i := range said {
		line, err := c.read()
		if err != nil {
			return err
		}
		said[i] = line
	}
	if said[0] != said[1] || said[0] == "" {
		return errMixed
	}
	c.spoken = said[0]
	return nil
}

// ask has one line phonemised. After an error the child must be killed.
func (c *child) ask(ctx context.Context, line string, timeout time.Duration) (string, error) {
	defer c.limit(ctx, timeout)()
	if _, err := io.WriteString(c.in, line+"\n"+c.password+"\n"); err != nil {
		return "", fmt.Errorf("write: %w", err)
	}
	var answer []string
	for {
		got, err := c.read()
		if err != nil {
			return "", err
		}
		if got == c.spoken {
			break
		}
		answer = append(answer, got)
	}
	if c.lines.Buffered() > 0 {
		return "", errMixed
	}
	return strings.Join(answer, " "), nil
}

func (c *child) read() (string, error) {
	line, err := c.lines.ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", errSilent
	}
	if err != nil {
		return "", fmt.Errorf("read: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// limit bounds what is written and read until the function that it returns is called: by timeout and by ctx.
func (c *child) limit(ctx context.Context, timeout time.Duration) func() {
	end := func(at time.Time) { _, _ = c.in.SetDeadline(at), c.out.SetDeadline(at) }
	end(time.Now().Add(timeout))
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		end(time.Unix(1, 0))
	})
	return func() {
		if !stop() {
			<-done
		}
	}
}

func (c *child) kill() {
	_, _ = c.in.Close(), c.out.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// nonsense returns a word of random syllables (60 bits).
func nonsense() string {
	const consonants, vowels = "bdfgklmnprstvzbd", "aiouaiou"
	var raw [12]byte
	_, _ = rand.Read(raw[:]) // never fails
	var b strings.Builder
	for _, r := range raw {
		b.WriteByte(consonants[r&15])
		b.WriteByte(vowels[r>>4&7])
	}
	return b.String()
}
