/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any bytes as a network: what inet_pton does not take before the slash is none. What
 * is taken holds its own address and no longer does when a bit of the prefix is turned, and is the
 * same when it is written out and read again.
 */
#include "ringpost/network.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct network network;
    bool is_parsed = network_parse(text, &network), is_broken = false;
    uint8_t bytes[16] = {0};
    network_text_holds(text, 6, bytes, &is_broken);
    char copy[64];
    size_t slash = slice_find(text, '/');
    bool is_text = slash < sizeof copy && memchr(data, '\0', slash) == NULL;
    bool is_library = false;
    if (is_text) {
        memcpy(copy, data, slash);
        copy[slash] = '\0';
        is_library = inet_pton(AF_INET, copy, bytes) == 1 || inet_pton(AF_INET6, copy, bytes) == 1;
    }
    if (slash == size)
        require(is_parsed == is_library);
    if (!is_parsed)
        return 0;
    require(is_library && (network.family == 4 || network.family == 6));
    require(network.bits <= (network.family == 4 ? 32 : 128));
    require(network_holds(&network, network.family, network.address));
    char again[64];
    struct network other;
    inet_ntop(network.family == 4 ? AF_INET : AF_INET6, network.address, again, sizeof again);
    snprintf(again + strlen(again), 8, "/%u", network.bits);
    require(network_parse(slice_cstr(again), &other) &&
            memcmp(&other, &network, sizeof network) == 0);
    for (unsigned i = 0; i < network.bits; i++) {
        memcpy(bytes, network.address, sizeof bytes);
        bytes[i / 8] = (uint8_t)(bytes[i / 8] ^ (0x80 >> i % 8));
        require(!network_holds(&network, network.family, bytes));
    }
    return 0;
}
