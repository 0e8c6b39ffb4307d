/*
 * Copyright 2026 The go-vde Authors
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * peer ROLE VNL [options]: a station on a VDE network, by way of libvdeplug.
 *
 *   source   sends COUNT test frames from SRC to DST, once told to
 *   flood    is a source that sends its first frame COUNT times, which costs
 *            less than making new ones
 *   sink     receives and checks test frames
 *   count    receives frames without looking at them
 *   echo     sends each frame back to where it came from
 *
 * It prints "ready" when the network has been joined, or "error ERRNO TEXT" and
 * exits. Then it obeys lines on its standard input:
 *
 *   go       source, flood: start sending
 *   await N  print "reached ..." when N frames have been received or sent in all
 *   report   print "report ..." now
 *   stop     take what is queued already, print "done ..." unless it has been
 *            printed, exit
 *
 * The end of the input is like stop. "done" also comes when COUNT frames have
 * been received or sent; the peer then stays on the network until told to
 * stop, because a switch drops the frames that it has not read yet when their
 * sender leaves. When the switch hangs up the peer prints "done" and exits. The
 * figures in reached, report and done lines are name=value pairs, described
 * at struct totals.
 *
 * Package testframe describes the format of test frames.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libvdeplug.h>

enum {
	ETHERTYPE = 0x88B5,
	MIN_FRAME = 26,
	PADDED = 60,
	MAX_FRAME = 1 << 16,
	MAX_SEQ = 1 << 26, /* sequence numbers a sink can tell apart */
	SLICE = 64,        /* frames between two looks at the input */
	DRAIN = 1 << 16    /* frames still taken after being told to stop */
};

static struct totals {
	uint64_t frames, bytes;  /* received; a sink counts good test frames only, once each */
	uint64_t duplicates;     /* sink: seen before */
	uint64_t late;           /* sink: good, but after a higher number */
	uint64_t corrupt;        /* sink: test frames with other content or length */
	uint64_t other;          /* sink: no test frames; echo: not for it */
	uint64_t highest;        /* sink: the highest number seen, plus one, minus first */
	uint64_t sent, sentbytes;
	uint64_t full;           /* times a send had to wait for room */
	uint64_t senderrors;     /* frames the library refused for another reason */
} tot;

static VDECONN *conn;
static int datafd, ctlfd;
static int nonblocking; /* the library's calls do not wait */
static unsigned char buf[MAX_FRAME];
static unsigned char src[6], dst[6];
static int have_src, have_dst;
static uint64_t count, first, await_at;
static size_t size = 60;
static unsigned burst = 1 << 30;
static long gap_us;
static int go, stopping;
static const char *reason = "stop";
static struct timespec began;
static uint8_t *seen;

static uint64_t nanoseconds(void)
{
	struct timespec t;
	if (!began.tv_sec && !began.tv_nsec)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)(t.tv_sec - began.tv_sec) * 1000000000u + (uint64_t)t.tv_nsec - (uint64_t)began.tv_nsec;
}

/* begin starts the clock at the first frame. */
static void begin(void)
{
	if (!began.tv_sec && !began.tv_nsec)
		clock_gettime(CLOCK_MONOTONIC, &began);
}

static void say(const char *word)
{
	printf("%s frames=%llu bytes=%llu lost=%llu duplicates=%llu late=%llu corrupt=%llu other=%llu"
	       " sent=%llu sentbytes=%llu full=%llu senderrors=%llu ns=%llu reason=%s\n",
	       word, (unsigned long long)tot.frames, (unsigned long long)tot.bytes,
	       (unsigned long long)(tot.highest > tot.frames ? tot.highest - tot.frames : 0),
	       (unsigned long long)tot.duplicates, (unsigned long long)tot.late,
	       (unsigned long long)tot.corrupt, (unsigned long long)tot.other,
	       (unsigned long long)tot.sent, (unsigned long long)tot.sentbytes,
	       (unsigned long long)tot.full, (unsigned long long)tot.senderrors,
	       (unsigned long long)nanoseconds(), reason);
	fflush(stdout);
}

static void stop(const char *why)
{
	if (!stopping)
		reason = why;
	stopping = 1;
}

static void reached(void)
{
	if (await_at && tot.frames + tot.sent >= await_at) {
		await_at = 0;
		say("reached");
	}
}

/* input obeys the lines that can be read without waiting. */
static void input(void)
{
	static char line[256];
	static size_t have;
	ssize_t n = read(0, line + have, sizeof line - 1 - have);
	char *end;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		stop("eof");
		return;
	}
	have += (size_t)n;
	line[have] = 0;
	while ((end = strchr(line, '\n'))) {
		*end++ = 0;
		if (!strcmp(line, "go"))
			go = 1;
		else if (!strcmp(line, "stop"))
			stop("stop");
		else if (!strcmp(line, "report"))
			say("report");
		else if (!strncmp(line, "await ", 6)) {
			await_at = strtoull(line + 6, NULL, 10);
			reached();
		}
		have -= (size_t)(end - line);
		memmove(line, end, have + 1);
	}
	if (have == sizeof line - 1)
		have = 0;
}

/* look waits until the data socket is ready for events or something else needs
 * attention, at most timeout nanoseconds (negative: for ever), and attends to
 * that. It returns what the data socket is ready for. */
static int look(short events, long long timeout)
{
	struct pollfd p[3] = {{0, POLLIN, 0}, {ctlfd, POLLIN, 0}, {events ? datafd : -1, events, 0}};
	struct timespec ts = {timeout / 1000000000, timeout % 1000000000};

	if (ppoll(p, 3, timeout < 0 ? NULL : &ts, NULL) < 0) {
		if (errno != EINTR)
			stop("poll");
		return 0;
	}
	if (p[0].revents)
		input();
	if (p[1].revents && ctlfd >= 0)
		stop("hangup");
	return p[2].revents;
}

/* transmit sends one frame, waiting for room. It gives up when told to stop. */
static int transmit(unsigned char *b, size_t len)
{
	for (;;) {
		if (vde_send(conn, b, len, 0) >= 0) {
			tot.sent++;
			tot.sentbytes += len;
			return 0;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK) {
			tot.senderrors++;
			return -1;
		}
		tot.full++;
		look(POLLOUT, -1);
		if (stopping)
			return -1;
	}
}

static void put(unsigned char *b, uint64_t v, int n)
{
	while (n--) {
		b[n] = (unsigned char)v;
		v >>= 8;
	}
}

static uint64_t get(const unsigned char *b, int n)
{
	uint64_t v = 0;
	while (n--)
		v = v << 8 | *b++;
	return v;
}

static unsigned char key(uint64_t seq)
{
	unsigned char k = 0;
	for (; seq; seq >>= 8)
		k = (unsigned char)(k + seq);
	return k;
}

static unsigned char content(unsigned char k, size_t i)
{
	return (unsigned char)(k + 7 * i + 13 * (i >> 8));
}

static void fill(unsigned char *b, size_t len, uint64_t seq)
{
	unsigned char k = key(seq);
	size_t i;

	put(b + 12, ETHERTYPE, 2);
	put(b + 14, seq, 8);
	put(b + 22, len, 4);
	for (i = MIN_FRAME; i < len; i++)
		b[i] = content(k, i);
}

static int intact(const unsigned char *b, size_t len)
{
	unsigned char k;
	size_t i, n;

	if (len < MIN_FRAME)
		return 0;
	n = (size_t)get(b + 22, 4);
	if (n != len && !(len == PADDED && n >= MIN_FRAME && n < PADDED))
		return 0;
	k = key(get(b + 14, 8));
	for (i = MIN_FRAME; i < n; i++)
		if (b[i] != content(k, i))
			return 0;
	return 1;
}

static void source(int flood)
{
	uint64_t i;
	unsigned in_burst = 0;

	while (!go && !stopping)
		look(0, -1);
	begin();
	memcpy(buf, dst, 6);
	memcpy(buf + 6, src, 6);
	for (i = 0; !stopping && (!count || i < count); i++) {
		if (!flood || !i)
			fill(buf, size, first + i);
		transmit(buf, size);
		reached();
		if (++in_burst >= burst) {
			in_burst = 0;
			uint64_t until = nanoseconds() + (uint64_t)gap_us * 1000u, now;
			while (!stopping && (now = nanoseconds()) < until)
				look(0, (long long)(until - now));
		} else if (i % SLICE == SLICE - 1)
			look(0, 0);
	}
	if (!stopping)
		stop("count");
}

static void sink(unsigned char *b, size_t len)
{
	uint64_t at;

	if (len < 14 || get(b + 12, 2) != ETHERTYPE) {
		tot.other++;
		return;
	}
	if (!intact(b, len) || (at = get(b + 14, 8) - first) >= MAX_SEQ) {
		tot.corrupt++;
		return;
	}
	if (seen[at / 8] & 1 << at % 8) {
		tot.duplicates++;
		return;
	}
	seen[at / 8] |= (uint8_t)(1 << at % 8);
	if (at < tot.highest)
		tot.late++;
	else
		tot.highest = at + 1;
	tot.frames++;
	tot.bytes += len;
}

static void echo(unsigned char *b, size_t len)
{
	unsigned char reply_from[6];
	int group = b[0] & 1;

	if (have_src && !group && memcmp(b, src, 6)) {
		tot.other++; /* flooded by the switch, meant for somebody else */
		return;
	}
	if (group && !have_src) {
		tot.other++; /* no address to answer with */
		return;
	}
	tot.frames++;
	tot.bytes += len;
	memcpy(reply_from, group ? src : b, 6);
	memcpy(b, b + 6, 6);
	memcpy(b + 6, reply_from, 6);
	transmit(b, len);
}

static void receive(char role)
{
	unsigned n = 0, drained = 0;

	while (drained < DRAIN) {
		ssize_t len = 0;

		if (nonblocking || look(POLLIN, stopping ? 0 : -1))
			len = vde_recv(conn, buf, sizeof buf, 0);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
			stop("recv");
			return;
		}
		if (len < 14) { /* nothing there, or nothing for us */
			if (stopping)
				return;
			if (nonblocking)
				look(POLLIN, -1);
			continue;
		}
		drained += (unsigned)stopping;
		begin();
		if (role == 's')
			sink(buf, (size_t)len);
		else if (role == 'e')
			echo(buf, (size_t)len);
		else {
			tot.frames++;
			tot.bytes += (uint64_t)len;
		}
		reached();
		if (count && tot.frames >= count) {
			stop("count");
			return;
		}
		if (++n % SLICE == 0 && !stopping)
			look(0, 0);
	}
}

static void mac(const char *s, unsigned char *m)
{
	if (sscanf(s, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) {
		fprintf(stderr, "peer: bad MAC %s\n", s);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct vde_open_args args = {0, NULL, 0700};
	char *descr = "cpeer";
	const char *role;
	int i;

	if (argc < 3) {
		fprintf(stderr, "usage: peer source|flood|sink|count|echo VNL [--option value]...\n");
		return 2;
	}
	role = argv[1];
	for (i = 3; i + 1 < argc; i += 2) {
		const char *o = argv[i];
		char *v = argv[i + 1];
		if (!strcmp(o, "--port"))
			args.port = atoi(v);
		else if (!strcmp(o, "--group"))
			args.group = v;
		else if (!strcmp(o, "--mode"))
			args.mode = (mode_t)strtoul(v, NULL, 8);
		else if (!strcmp(o, "--descr"))
			descr = v;
		else if (!strcmp(o, "--src"))
			mac(v, src), have_src = 1;
		else if (!strcmp(o, "--dst"))
			mac(v, dst), have_dst = 1;
		else if (!strcmp(o, "--count"))
			count = strtoull(v, NULL, 10);
		else if (!strcmp(o, "--first"))
			first = strtoull(v, NULL, 10);
		else if (!strcmp(o, "--size"))
			size = (size_t)strtoul(v, NULL, 10);
		else if (!strcmp(o, "--burst"))
			burst = (unsigned)strtoul(v, NULL, 10);
		else if (!strcmp(o, "--gap"))
			gap_us = strtol(v, NULL, 10);
		else {
			fprintf(stderr, "peer: unknown option %s\n", o);
			return 2;
		}
	}
	if (strcmp(role, "source") && strcmp(role, "flood") && strcmp(role, "sink") && strcmp(role, "count") && strcmp(role, "echo")) {
		fprintf(stderr, "peer: unknown role %s\n", role);
		return 2;
	}
	if (i != argc || size < MIN_FRAME || size > MAX_FRAME || !burst) {
		fprintf(stderr, "peer: bad arguments\n");
		return 2;
	}
	if ((!strcmp(role, "source") || !strcmp(role, "flood")) && !(have_src && have_dst)) {
		fprintf(stderr, "peer: a source or flood needs --src and --dst\n");
		return 2;
	}
	if (!strcmp(role, "sink") && !(seen = calloc(MAX_SEQ / 8, 1))) {
		perror("peer");
		return 2;
	}

	errno = 0;
	conn = vde_open(argv[2], descr, &args);
	if (!conn) {
		int e = errno;
		printf("error %d %s\n", e, strerror(e));
		return 1;
	}
	datafd = vde_datafd(conn);
	ctlfd = vde_ctlfd(conn);
	/* libvdeplug 4.0.1 ignores the flags of its calls. Where there is a control
	 * socket the data descriptor is the data socket, so it can be told here. */
	nonblocking = ctlfd >= 0 && fcntl(datafd, F_SETFL, fcntl(datafd, F_GETFL) | O_NONBLOCK) == 0;
	printf("ready\n");
	fflush(stdout);

	if (!strcmp(role, "source") || !strcmp(role, "flood"))
		source(role[0] == 'f');
	else
		receive(role[0]);
	say("done");
	if (!strcmp(reason, "count"))
		for (stopping = 0; !stopping;)
			look(0, -1);
	vde_close(conn);
	return 0;
}
