/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as a PROXY header. The answer for each beginning agrees with that for the
 * whole, and what a line is taken for is what sscanf and inet_pton make of it.
 */
#include "../../src/session/proxy.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

/* A line that we take must read the same to the C library. */
static void check_line(const uint8_t *data, const struct proxy_header *header)
{
    char line[PROXY_V1_BYTES_MAX + 1], source[64], target[64], family, again[128];
    unsigned source_port, target_port;
    uint8_t address[16], other[16];
    require(header->size <= PROXY_V1_BYTES_MAX);
    memcpy(line, data, header->size);
    line[header->size] = '\0';
    require(strstr(line, "\r\n") == line + header->size - 2 || strlen(line) < header->size);
    if (header->family == 0) {
        require(strncmp(line, "PROXY UNKNOWN", 13) == 0);
        return;
    }
    require(sscanf(line, "PROXY TCP%c %63s %63s %u %u\r\n", &family, source, target, &source_port,
                   &target_port) == 5);
    snprintf(again, sizeof again, "PROXY TCP%c %s %s %u %u\r\n", family, source, target,
             source_port, target_port);
    require(strcmp(again, line) == 0);
    require(source_port == header->port && target_port <= 65535);
    int type = family == '4' ? AF_INET : AF_INET6;
    require(family == '4' || family == '6');
    require(inet_pton(type, source, address) == 1 && inet_pton(type, target, other) == 1);
    bool is_mapped = family == '6' && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address);
    require(header->family == (is_mapped ? 4 : family - '0'));
    require(memcmp(is_mapped ? address + 12 : address, header->address,
                   header->family == 4 ? 4 : 16) == 0);
}

/* The reverse: a line that the C library reads as one of ours must be taken. */
static bool is_line(const uint8_t *data, size_t size)
{
    char line[PROXY_V1_BYTES_MAX + 1], source[64], target[64], again[300];
    uint8_t address[16];
    unsigned source_port, target_port;
    size_t lf = slice_find(slice_of(data, size), '\n');
    if (lf == size || lf >= PROXY_V1_BYTES_MAX || memchr(data, '\0', lf) != NULL)
        return false;
    memcpy(line, data, lf + 1);
    line[lf + 1] = '\0';
    if (sscanf(line, "PROXY TCP4 %63s %63s %5u %5u\r\n", source, target, &source_port,
               &target_port) != 4)
        return false;
    snprintf(again, sizeof again, "PROXY TCP4 %s %s %u %u\r\n", source, target, source_port,
             target_port);
    return strcmp(again, line) == 0 && source_port <= 65535 && target_port <= 65535 &&
           inet_pton(AF_INET, source, address) == 1 && inet_pton(AF_INET, target, address) == 1;
}

static void check_block(const uint8_t *data, const struct proxy_header *header)
{
    size_t length = (size_t)data[14] << 8 | data[15];
    require(header->size == 16 + length && header->size <= PROXY_HEADER_BYTES_MAX);
    require(data[12] == 0x20 || data[12] == 0x21);
    if (header->family == 0)
        require(data[12] == 0x20 || data[13] == 0 || (data[13] == 0x31 && length >= 216));
    else
        require(data[12] == 0x21 && length >= (data[13] == 0x11 ? 12 : 36));
    if (header->family == 4 && data[13] == 0x11)
        require(memcmp(header->address, data + 16, 4) == 0 &&
                header->port == (data[24] << 8 | data[25]));
    if (header->family == 6)
        require(memcmp(header->address, data + 16, 16) == 0 &&
                header->port == (data[48] << 8 | data[49]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole = {0}, part;
    enum proxy_result result = proxy_parse(slice_of(data, size), &whole);
    enum proxy_result before = PROXY_MORE;
    for (size_t have = 0; have < size && have < 1200; have++) {
        uint8_t *exact = malloc(have ? have : 1);
        memcpy(exact, data, have);
        enum proxy_result now = proxy_parse(slice_of(exact, have), &part);
        free(exact);
        require(before == PROXY_MORE ? now != PROXY_DONE || part.size == have : now == before);
        before = now;
    }
    require(before == PROXY_MORE || before == result);
    require(result != PROXY_MORE || size < PROXY_HEADER_BYTES_MAX);
    if (is_line(data, size))
        require(result == PROXY_DONE && whole.family == 4);
    if (result != PROXY_DONE)
        return 0;
    require(whole.size <= size);
    if (data[0] == 'P')
        check_line(data, &whole);
    else
        check_block(data, &whole);
    return 0;
}
