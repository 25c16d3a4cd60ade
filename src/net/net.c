/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a core keeps for all its streams: small pools of pieces and blocks, so that busy sessions do
 * not call the allocator for each line and reply, and the list of streams that the end of the turn
 * has to look at.
 */
#include "net_private.h"

#include <stdlib.h>

/* Those put on the list while it is worked through are looked at in the next turn. */
static void net_turn_ends(struct hook *hook)
{
    struct net *net = (struct net *)((char *)hook - offsetof(struct net, hook));
    struct stream *list = net->attended;
    net->attended = NULL;
    net->attended_end = &net->attended;
    while (list != NULL) {
        struct stream *stream = list;
        list = stream->attended;
        stream->state &= ~(unsigned)ATTENDED;
        stream_attended(stream);
    }
}

int net_open(struct core *core)
{
    struct net *net = calloc(1, sizeof *net);
    if (net == NULL)
        return -ENOMEM;
    net->core = core;
    net->attended_end = &net->attended;
    net->hook.run = net_turn_ends;
    core_local_set(core, CORE_LOCAL_NET, net);
    core_hook_add(core, &net->hook);
    return 0;
}

void net_close(struct core *core)
{
    struct net *net = core_local(core, CORE_LOCAL_NET);
    if (net == NULL)
        return;
    assert(net->attended == NULL && "a stream is still open at net_close");
    while (net->pieces != NULL) {
        struct stream_input *piece = net->pieces;
        net->pieces = piece->next;
        free(piece);
    }
    while (net->blocks != NULL) {
        struct net_block *block = net->blocks;
        net->blocks = block->next;
        free(block);
    }
    while (net->passages != NULL) {
        struct net_passage *passage = net->passages;
        net->passages = passage->next;
        free(passage);
    }
    tls_net_close(net);
    core_local_set(core, CORE_LOCAL_NET, NULL);
    core_hook_remove(core, &net->hook);
    free(net);
}

void stream_attend_later(struct stream *stream)
{
    if (stream->state & ATTENDED)
        return;
    struct net *net = net_of(stream);
    stream->state |= ATTENDED;
    stream->attended = NULL;
    *net->attended_end = stream;
    net->attended_end = &stream->attended;
}

void stream_attend(struct stream *stream)
{
    stream_attend_later(stream);
    core_again(stream->core);
}

struct net_block *block_take(struct net *net, size_t capacity)
{
    struct net_block *block;
    if (capacity <= BLOCK_BYTES) {
        capacity = BLOCK_BYTES;
        if ((block = net->blocks) != NULL) {
            net->blocks = block->next;
            net->blocks_kept--;
            block->next = NULL;
            block->start = block->end = block->is_sealed = 0;
            return block;
        }
    }
    if (capacity > UINT32_MAX || (block = malloc(sizeof *block + capacity)) == NULL)
        return NULL;
    block->next = NULL;
    block->start = block->end = block->is_sealed = 0;
    block->capacity = (uint32_t)capacity;
    return block;
}

void block_give(struct net *net, struct net_block *block)
{
    if (block->capacity != BLOCK_BYTES || net->blocks_kept >= BLOCKS_KEPT) {
        free(block);
        return;
    }
    block->next = net->blocks;
    net->blocks = block;
    net->blocks_kept++;
}

struct net_passage *passage_take(struct net *net)
{
    struct net_passage *passage = net->passages;
    if (passage == NULL)
        return malloc(sizeof *passage);
    net->passages = passage->next;
    net->passages_kept--;
    return passage;
}

void passage_give(struct net *net, struct net_passage *passage)
{
    if (net->passages_kept >= PASSAGES_KEPT) {
        free(passage);
        return;
    }
    passage->next = net->passages;
    net->passages = passage;
    net->passages_kept++;
}

struct stream_input *piece_take(struct net *net)
{
    struct stream_input *piece = net->pieces;
    if (piece == NULL)
        return malloc(sizeof *piece);
    net->pieces = piece->next;
    net->pieces_kept--;
    return piece;
}

void piece_give(struct net *net, struct stream_input *piece)
{
    if (net->pieces_kept >= PIECES_KEPT) {
        free(piece);
        return;
    }
    piece->next = net->pieces;
    net->pieces = piece;
    net->pieces_kept++;
}
