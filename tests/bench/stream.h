/* A TCP connection, over TLS or bare. Built with -DWITHOUT_TLS where OpenSSL's headers are absent. */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifndef WITHOUT_TLS
#include <openssl/ssl.h>
#else
typedef struct SSL SSL;
typedef struct SSL_CTX SSL_CTX;
#endif

typedef struct {
    int fd;
    SSL *tls;
} Stream;

static void fail(const char *what) {
    fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

/* Up to size bytes; 0 when the other side is gone. */
static ssize_t stream_read(Stream *stream, void *into, size_t size) {
#ifndef WITHOUT_TLS
    if (stream->tls) {
        size_t got = 0; /* several records at once, if they are there: a record has 16 KiB at most */
        do {
            int more = SSL_read(stream->tls, (char *)into + got, (int)(size - got));
            if (more <= 0) return (ssize_t)got;
            got += (size_t)more;
        } while (got < size && SSL_pending(stream->tls) > 0);
        return (ssize_t)got;
    }
#endif
    ssize_t got;
    do got = recv(stream->fd, into, size, 0);
    while (got < 0 && errno == EINTR);
    return got < 0 ? 0 : got;
}

/* All bytes; -1 when the other side is gone. */
static int stream_write(Stream *stream, const void *from, size_t size) {
    const char *next = from;
    while (size) {
        ssize_t sent;
#ifndef WITHOUT_TLS
        if (stream->tls)
            sent = SSL_write(stream->tls, next, size > 1 << 20 ? 1 << 20 : (int)size);
        else
#endif
            sent = send(stream->fd, next, size, MSG_NOSIGNAL);
        if (sent < 0 && !stream->tls && errno == EINTR) continue;
        if (sent <= 0) return -1;
        next += sent;
        size -= (size_t)sent;
    }
    return 0;
}

static void stream_close(Stream *stream) {
#ifndef WITHOUT_TLS
    if (stream->tls) SSL_free(stream->tls);
#endif
    close(stream->fd);
}

/* Reads a message's head, up to and with its empty line, into a text. What was read beyond stays in the buffer. */
typedef struct {
    char text[65536];
    size_t filled, head; /* bytes read, and of these the head's */
} Head;

/* 0, or -1 when the other side is gone. Whoever calls takes what lies beyond the head, then sets filled to 0. */
static int head_read(Stream *stream, Head *head) {
    for (;;) {
        char *end = head->filled ? memmem(head->text, head->filled, "\r\n\r\n", 4) : NULL;
        if (end) {
            head->head = (size_t)(end - head->text) + 4;
            end[2] = 0; /* the text ends with its last header's line */
            return 0;
        }
        if (head->filled == sizeof head->text) return -1;
        ssize_t got = stream_read(stream, head->text + head->filled, sizeof head->text - head->filled);
        if (got <= 0) return -1;
        head->filled += (size_t)got;
    }
}

/* A header's value, up to its line's end, or NULL. */
static const char *head_value(const Head *head, const char *name) {
    size_t size = strlen(name);
    for (const char *line = strstr(head->text, "\r\n"); line && line[2]; line = strstr(line + 2, "\r\n"))
        if (!strncasecmp(line + 2, name, size) && line[2 + size] == ':') {
            const char *value = line + 3 + size;
            while (*value == ' ') value++;
            return value;
        }
    return NULL;
}

static unsigned long long head_number(const Head *head, const char *name) {
    const char *value = head_value(head, name);
    return value ? strtoull(value, NULL, 10) : 0;
}

#endif
