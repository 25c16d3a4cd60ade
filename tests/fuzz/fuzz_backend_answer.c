/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * libFuzzer: any line as a backend's answer, in each protocol. What a line means lies inside of it;
 * a log-in is told only where the line says so by its first word; what is kept is printable and
 * bounded; a capability that was taken in is one word and is found again.
 */
#include <stdlib.h>

#include "../../src/backend/talk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool is_within(struct slice part, struct slice whole)
{
    return part.size == 0 ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static bool is_printable(const char *text, size_t bytes_max)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < size; i++)
        if (text[i] < ' ' || text[i] > '~')
            return false;
    return size <= bytes_max;
}

static void look_reply(enum backend_protocol protocol, const struct reply *reply, struct slice line,
                       struct slice in)
{
    struct referral referral;
    char text[BACKEND_ANSWER_BYTES_MAX + 1];
    require(is_within(reply->text, line) && is_within(reply->code, line));
    enum verdict verdict = verdict_of(protocol, reply);
    require((verdict == VERDICT_IN) == (reply->said == SAID_OK));
    require(reply->said != SAID_OK || slice_starts_nocase(line, in));
    require(verdict != VERDICT_WRONG || reply->said == SAID_NO);
    if (referral_of(reply, &referral))
        require(referral.host.size > 0 && is_within(referral.host, line) &&
                slice_starts_nocase(reply->code, SLICE("REFERRAL")));
    text_clean(reply->text, text, sizeof text);
    require(is_printable(text, BACKEND_ANSWER_BYTES_MAX));
}

static void look_offer(struct slice line)
{
    static struct offer offer;
    offer_clear(&offer);
    size_t at = slice_find(line, '|');
    offer_add_list(&offer, slice_first(line, at));
    offer_add(&offer, SLICE("WORD"), slice_from(line, at + 1), " ,");
    require(offer.size <= BACKEND_CAPABILITY_BYTES_MAX && strlen(offer.text) == offer.size);
    require(is_printable(offer.text, BACKEND_CAPABILITY_BYTES_MAX));
    require(strpbrk(offer.text, "()[]{}\"\\\r\n") == NULL && strstr(offer.text, "  ") == NULL);
    struct slice rest = slice_of(offer.text, offer.size);
    while (rest.size > 0) { /* each word is found again */
        struct slice one = slice_first(rest, slice_find(rest, ' '));
        char word[BACKEND_CAPABILITY_BYTES_MAX + 1];
        text_clean(one, word, sizeof word);
        require(one.size > 0 && can(&offer, word, NULL));
        rest = slice_from(rest, one.size + 1);
    }
}

static void look_strings(struct slice line)
{
    char out[TALK_STRING_BYTES_MAX];
    struct slice string, rest;
    size_t size;
    if (sieve_string(line, out, &string, &rest)) {
        static struct speech speech;
        require(string.size <= TALK_STRING_BYTES_MAX && is_within(rest, line));
        speech.size = 0;
        speech.failed = false;
        say_quoted(&speech, string); /* said again it is read the same */
        char again[TALK_STRING_BYTES_MAX];
        struct slice same, behind;
        require(sieve_string(slice_of(speech.bytes, speech.size), again, &same, &behind));
        require(slice_equal(string, same) && behind.size == 0);
    }
    if (literal_at_end(line, 1000, &size))
        require(size <= 1001 && line.data[line.size - 1] == '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice line = slice_of(data, size);
    struct reply reply;
    reply_imap(line, SLICE("L"), &reply);
    look_reply(BACKEND_IMAP, &reply, line, SLICE("L OK"));
    reply_pop3(line, &reply);
    look_reply(BACKEND_POP3, &reply, line, SLICE("+OK"));
    reply_smtp(line, &reply);
    look_reply(BACKEND_SUBMISSION, &reply, line, SLICE("2"));
    reply_sieve(line, &reply);
    look_reply(BACKEND_SIEVE, &reply, line, SLICE("OK"));
    look_offer(line);
    look_strings(line);
    return 0;
}
