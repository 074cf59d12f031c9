package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
)

// cpuPressure returns in which share (0…1) of the last ten seconds some work of ours had to wait for a processor: that of
// the own control group where the kernel tells it, else of the machine; where it tells neither, it is guessed from the
// number of processes that want to run.
func cpuPressure() float64 {
	for _, file := range []string{"/sys/fs/cgroup/cpu.pressure", "/proc/pressure/cpu"} {
		if b, err := os.ReadFile(file); err == nil {
			if p, ok := parsePressure(string(b)); ok {
				return p
			}
		}
	}
	b, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(b), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil || load <= 0 {
		return 0
	}
	return max(0, 1-float64(runtime.NumCPU())/load)
}

// parsePressure reads the line "some avg10=97.52 …" of a pressure file.
func parsePressure(text string) (share float64, ok bool) {
	_, rest, found := strings.Cut(text, "some avg10=")
	number, _, _ := strings.Cut(rest, " ")
	percent, err := strconv.ParseFloat(number, 64)
	return percent / 100, found && err == nil
}
