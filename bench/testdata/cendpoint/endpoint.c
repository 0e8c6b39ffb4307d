/* Copyright 2026 The go-vde Authors
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * usage: endpoint ROLE NETWORK SIZES BATCH
 *
 * An endpoint of a benchmark in C; internal/peer/serve.go describes what it says
 * and what it is told. It is compiled in two ways. With -DVDE it is a program on
 * libvdeplug and NETWORK is what vde_open takes. Without, it has one end of an
 * AF_UNIX datagram pair as descriptor 3, and NETWORK is "one" for send and recv
 * or "mmsg" for sendmmsg and recvmmsg of up to BATCH frames. SIZES are lengths
 * with commas in between.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#ifdef VDE
#include <libvdeplug.h>
static VDECONN *conn;
#endif

enum { DATA = 0xb5, MARKER = 0xb6, MIN_SIZE = 60, MAX_SIZE = 65536, MAX_BATCH = 64, MAX_SIZES = 64 };
enum { KIND_AT = 13, RUN_AT = 14, NUMBER_AT = 22 };

#define MS 1000000LL /* nanoseconds */

static int many; /* sendmmsg and recvmmsg */
static long batch = 1;
static long errors; /* frames that could not be sent */
static uint64_t calls; /* that received */
static unsigned char self[6] = {2, 0, 0, 0, 0, 0xb}, other[6] = {2, 0, 0, 0, 0, 0xa};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void put(unsigned char *b, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		b[i] = (unsigned char)v;
}

static uint64_t get(const unsigned char *b)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | b[i];
	return v;
}

static void *allocate(size_t n)
{
	void *p = calloc(1, n);
	if (!p)
		die("calloc");
	return p;
}

static unsigned char *new_frame(const unsigned char *dst, int kind, size_t size)
{
	unsigned char *f = allocate(size);
	memcpy(f, dst, 6);
	memcpy(f + 6, self, 6);
	f[12] = 0x88;
	f[KIND_AT] = (unsigned char)kind;
	return f;
}

static void transmit_one(const unsigned char *f, size_t size)
{
#ifdef VDE
	ssize_t n = vde_send(conn, f, size, 0);
#else
	ssize_t n = send(3, f, size, 0);
#endif
	if (n < 0)
		errors++;
}

static void transmit(struct mmsghdr *m, long n)
{
	if (!many) {
		for (long i = 0; i < n; i++)
			transmit_one(m[i].msg_hdr.msg_iov->iov_base, m[i].msg_hdr.msg_iov->iov_len);
		return;
	}
	while (n > 0) {
		int k = sendmmsg(3, m, (unsigned)n, 0);
		if (k < 0)
			die("sendmmsg");
		m += k;
		n -= k;
	}
}

static struct mmsghdr *headers(long n)
{
	struct mmsghdr *m = allocate((size_t)n * sizeof *m);
	for (long i = 0; i < n; i++) {
		m[i].msg_hdr.msg_iov = allocate(sizeof(struct iovec));
		m[i].msg_hdr.msg_iovlen = 1;
	}
	return m;
}

/* receive waits for frames and returns how many there are in m. */
static long receive(struct mmsghdr *m)
{
	struct iovec *v = m[0].msg_hdr.msg_iov;
	ssize_t n;
	for (;;) {
		calls++;
		if (many)
			n = recvmmsg(3, m, (unsigned)batch, MSG_WAITFORONE, NULL);
#ifdef VDE
		else
			n = vde_recv(conn, v->iov_base, MAX_SIZE, 0);
#else
		else
			n = recv(3, v->iov_base, MAX_SIZE, 0);
#endif
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			die("receive");
		if (many)
			return n;
		m[0].msg_len = (unsigned)n;
		if (n >= MIN_SIZE)
			return 1;
	}
}

static struct mmsghdr *buffers(void)
{
	struct mmsghdr *m = headers(batch);
	for (long i = 0; i < batch; i++) {
		m[i].msg_hdr.msg_iov->iov_base = allocate(MAX_SIZE);
		m[i].msg_hdr.msg_iov->iov_len = MAX_SIZE;
	}
	return m;
}

static unsigned char *frame_of(struct mmsghdr *m) { return m->msg_hdr.msg_iov->iov_base; }

/* Of the runs of this endpoint. */
static volatile int ended; /* what marks the run may stop */
static char line[256];

static void *await_end(void *unused)
{
	(void)unused;
	if (!fgets(line, sizeof line, stdin))
		exit(0);
	ended = 1;
	return NULL;
}

static void *await_eof(void *unused)
{
	char b[64];
	while (read(0, b, sizeof b) > 0)
		;
	_exit(0);
	return unused;
}

static void mark(uint64_t run)
{
	unsigned char *marker = new_frame(other, MARKER, MIN_SIZE);
	struct timespec ms = {0, MS};
	put(marker + RUN_AT, run);
	while (!ended) {
		transmit_one(marker, MIN_SIZE);
		nanosleep(&ms, NULL);
	}
	free(marker);
}

static long gcd(long a, long b) { return b ? gcd(b, a % b) : a; }

static void flood(const size_t *sizes, long nsizes)
{
	long all = batch * nsizes / gcd(batch, nsizes), n;
	struct mmsghdr *m = headers(all);
	uint64_t run;

	for (long i = 0; i < all; i++) {
		size_t size = sizes[i % nsizes];
		m[i].msg_hdr.msg_iov->iov_base = new_frame(other, DATA, size);
		m[i].msg_hdr.msg_iov->iov_len = size;
	}
	while (fgets(line, sizeof line, stdin)) {
		unsigned long long r;
		pthread_t waiter;
		if (sscanf(line, "flood %ld %llu", &n, &r) != 2)
			continue;
		run = r;
		errors = 0;
		ended = 0;
		pthread_create(&waiter, NULL, await_end, NULL);
		int64_t start = now();
		for (long sent = 0, at = 0; sent < n;) {
			long k = batch < n - sent ? batch : n - sent;
			if (k > all - at)
				k = all - at;
			transmit(m + at, k);
			sent += k;
			at = at + k == all ? 0 : at + k;
		}
		long failed = errors;
		mark(run);
		pthread_join(waiter, NULL);
		printf("sent start=%lld errors=%ld\n", (long long)start, failed);
		fflush(stdout);
	}
}

static void count(void)
{
	struct mmsghdr *m = buffers();
	uint64_t frames = 0, bytes = 0, last = 0, before = 0;
	for (;;) {
		long n = receive(m);
		for (long i = 0; i < n; i++) {
			unsigned char *f = frame_of(m + i);
			if (f[KIND_AT] == DATA) {
				frames++;
				bytes += m[i].msg_len;
			} else if (f[KIND_AT] == MARKER && get(f + RUN_AT) > last) {
				last = get(f + RUN_AT);
				printf("done run=%llu frames=%llu bytes=%llu calls=%llu end=%lld\n", (unsigned long long)last,
				       (unsigned long long)frames, (unsigned long long)bytes,
				       (unsigned long long)(calls - before), (long long)now());
				fflush(stdout);
				frames = bytes = 0;
				before = calls;
			}
		}
	}
}

static void echo(void)
{
	struct mmsghdr *m = buffers();
	for (;;) {
		long n = receive(m);
		for (long i = 0; i < n; i++) {
			unsigned char *f = frame_of(m + i), dst[6];
			if (f[0] & 1 || f[12] != 0x88)
				continue;
			memcpy(dst, f, 6);
			memcpy(f, f + 6, 6);
			memcpy(f + 6, dst, 6);
			transmit_one(f, m[i].msg_len);
		}
	}
}

/* A run of a pinger. */
static struct ping {
	size_t size;
	long n, got;
	uint64_t run;
	int64_t start, interval;
	int64_t *rtt;
	char *seen;
} p;

static int mine(const unsigned char *f) { return f[KIND_AT] == DATA && get(f + RUN_AT) == p.run; }

static void closed_loop(struct mmsghdr *m, unsigned char *f)
{
	for (long i = 0; i < p.n; i++) {
		put(f + NUMBER_AT, (uint64_t)i);
		int64_t start = now();
		transmit_one(f, p.size);
		for (int answered = 0; !answered;) {
			long k = receive(m);
			for (long j = 0; j < k; j++)
				answered |= mine(frame_of(m + j)) && get(frame_of(m + j) + NUMBER_AT) == (uint64_t)i;
		}
		p.rtt[p.got++] = now() - start;
	}
}

/* answers takes the answers of a run at a fixed rate, up to its marker. Each
 * answer's time counts from the moment its frame was due. */
static void *answers(void *headers)
{
	struct mmsghdr *m = headers;
	while (!ended) {
		long n = receive(m);
		int64_t at = now();
		for (long i = 0; i < n; i++) {
			unsigned char *f = frame_of(m + i);
			if (f[KIND_AT] == MARKER && get(f + RUN_AT) == p.run)
				ended = 1;
			if (!mine(f))
				continue;
			uint64_t number = get(f + NUMBER_AT);
			if (number < (uint64_t)p.n && !p.seen[number]) {
				p.seen[number] = 1;
				p.rtt[p.got++] = at - (p.start + (int64_t)number * p.interval);
			}
		}
	}
	return NULL;
}

static void fixed_rate(struct mmsghdr *m, unsigned char *f, long rate)
{
	pthread_t receiver;
	ended = 0;
	p.interval = 1000 * MS / rate;
	p.start = now() + p.interval;
	pthread_create(&receiver, NULL, answers, m);
	for (long i = 0; i < p.n; i++) {
		int64_t due = p.start + i * p.interval, wait = due - now() - 60000;
		if (wait > 0) {
			struct timespec t = {wait / 1000000000, wait % 1000000000};
			nanosleep(&t, NULL);
		}
		while (now() < due)
			;
		put(f + NUMBER_AT, (uint64_t)i);
		transmit_one(f, p.size);
	}
	mark(p.run);
	pthread_join(receiver, NULL);
}

static void ping(size_t size)
{
	struct mmsghdr *m = buffers();
	unsigned char *f = new_frame(other, DATA, size);
	long n, rate;
	unsigned long long run;
	prctl(PR_SET_TIMERSLACK, 1);
	while (fgets(line, sizeof line, stdin)) {
		if (sscanf(line, "ping %ld %ld %llu", &n, &rate, &run) != 3)
			continue;
		p = (struct ping){.size = size, .n = n, .run = run};
		p.rtt = allocate((size_t)n * sizeof *p.rtt);
		p.seen = allocate((size_t)n);
		put(f + RUN_AT, run);
		if (rate)
			fixed_rate(m, f, rate);
		else
			closed_loop(m, f);
		printf("timed lost=%ld count=%ld\n", n - p.got, p.got);
		for (long i = 0; i < p.got; i++)
			printf("%lld\n", (long long)p.rtt[i]);
		fflush(stdout);
		free(p.rtt);
		free(p.seen);
	}
}

int main(int argc, char **argv)
{
	static const unsigned char broadcast[6] = {255, 255, 255, 255, 255, 255};
	size_t sizes[MAX_SIZES];
	long nsizes = 0;
	pthread_t watcher;

	if (argc != 5)
		return 2;
	const char *role = argv[1], *network = argv[2];
	for (char *s = strtok(argv[3], ","); s && nsizes < MAX_SIZES; s = strtok(NULL, ","))
		sizes[nsizes++] = strtoul(s, NULL, 10);
	batch = atol(argv[4]);
	for (long i = 0; i < nsizes; i++)
		if (sizes[i] < MIN_SIZE || sizes[i] > MAX_SIZE)
			return 2;
	if (!nsizes || batch < 1 || batch > MAX_BATCH)
		return 2;
	if (!strcmp(role, "flood") || !strcmp(role, "ping"))
		self[5] = 0xa, other[5] = 0xb;
#ifdef VDE
	struct vde_open_args args = {0, NULL, 0700};
	conn = vde_open((char *)network, "bench", &args);
	if (!conn)
		die("vde_open");
#else
	many = !strcmp(network, "mmsg");
#endif
	unsigned char *hello = new_frame(broadcast, MARKER, MIN_SIZE);
	transmit_one(hello, MIN_SIZE);
	printf("ready\n");
	fflush(stdout);

	if (!strcmp(role, "count") || !strcmp(role, "echo"))
		pthread_create(&watcher, NULL, await_eof, NULL);
	if (!strcmp(role, "flood"))
		flood(sizes, nsizes);
	else if (!strcmp(role, "count"))
		count();
	else if (!strcmp(role, "echo"))
		echo();
	else if (!strcmp(role, "ping"))
		ping(sizes[0]);
	else
		return 2;
	return 0;
}
