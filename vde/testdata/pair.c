/* Copyright 2026 The go-vde Authors
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The yardstick of BenchmarkAgainstC: two processes on an AF_UNIX datagram
 * pair, with the system calls that the Go side uses and nothing around them.
 *
 * usage: pair mmsg|one SIZE BATCH COUNT
 * mmsg: sendmmsg and recvmmsg of up to BATCH frames; one: send and recv, which
 * is what libvdeplug does for each frame. Prints what the receiver saw:
 * nanoseconds from the first frame to the last, and its system calls.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long move(int fd, struct mmsghdr *headers, long frames, int one, int sending)
{
	struct iovec *v = headers[0].msg_hdr.msg_iov;
	long n;
	if (one)
		n = (sending ? send(fd, v->iov_base, v->iov_len, 0) : recv(fd, v->iov_base, v->iov_len, 0)) < 0 ? -1 : 1;
	else
		n = sending ? sendmmsg(fd, headers, frames, 0) : recvmmsg(fd, headers, frames, MSG_WAITFORONE, NULL);
	if (n < 0)
		die(sending ? "send" : "receive");
	return n;
}

int main(int argc, char **argv)
{
	if (argc != 5)
		return 2;
	int one = strcmp(argv[1], "one") == 0, pair[2];
	size_t size = strtoul(argv[2], NULL, 10);
	long batch = atol(argv[3]), count = atol(argv[4]);
	struct mmsghdr *headers = calloc(batch, sizeof *headers);
	struct iovec *iovs = calloc(batch, sizeof *iovs);
	char *frames = calloc(batch, size);
	if (!headers || !iovs || !frames || socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		die("set up");
	for (long i = 0; i < batch; i++) {
		iovs[i].iov_base = frames + i * size;
		iovs[i].iov_len = size;
		headers[i].msg_hdr.msg_iov = &iovs[i];
		headers[i].msg_hdr.msg_iovlen = 1;
	}
	pid_t child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		for (long n = 0; n < count;)
			n += move(pair[1], headers, count - n < batch ? count - n : batch, one, 1);
		return 0;
	}
	close(pair[1]);
	long long start = 0;
	long calls = 0, got = 0;
	while (got < count) {
		long n = move(pair[0], headers, batch, one, 0);
		if (!start)
			start = now();
		got += n;
		calls++;
	}
	printf("%lld %ld\n", now() - start, calls);
	waitpid(child, NULL, 0);
	return 0;
}
