/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * One transaction with a backend, on a connection where one may begin (RFC 2033, RFC 2920, RFC
 * 3030):
 *
 *   MAIL, RCPT ... ─▶ an answer each ─▶ BDAT n LAST, or DATA ─▶ 354 ─▶ the message
 *                  ─▶ an answer for each recipient that was taken
 *
 * MAIL and RCPT go out in batches, whose answers are read before there is more; data only when all
 * are answered and somebody was taken, so that no message is ever sent to nobody. What a backend
 * does not offer is not said to it. 8 bit is sent to those without 8BITMIME too, as it came: they
 * are the last to see it, and there is nobody who could convert it.
 *
 * What an answer is worth: 25x yes; 4xx later, in the backend's words; 5xx no, in its words, unless
 * it is about the command and not about mail (500, 503 ...): such a refusal is our or its mistake,
 * and must not make a sender give up (R2). All else is none, and what was answered before it is not
 * believed either (F1). Then, or when the connection breaks, "later" is told in our words to those
 * without an answer. That holds behind the message too, where it may have been taken: it then comes
 * twice, and is not lost.
 */
#include "transfer.h"

#include <errno.h>
#include <stdio.h>

#include "ringpost/smtp_reply.h"
#include "ringpost/tls.h"
#include "ringpost/words.h"

enum {
    BATCH_COMMANDS_MAX = 100,
    BATCH_BYTES_MAX = 32768, /* less than a stream holds: saying never waits */
    REPLY_LINE_BYTES_MAX = 8192,
    REPLY_LINES_MAX = 100,
    PARAMETER_BYTES_MAX = 1000
};

static const uint64_t GLANCE_NS = UINT64_C(500000000);

static const char lost[] = "451 4.4.2 The connection to the mail store was lost, try again later";
static const char nonsense[] = "451 4.5.0 The mail store did not answer as it should, try again "
                               "later";
static const char not_understood[] = "451 4.5.0 The mail store refused a command, try again later";

/* ---------------------------------------------------------------- recipients */

static void set_reply(struct relay_recipient *recipient, int result, const char *reply)
{
    size_t size = strnlen(reply, RELAY_REPLY_BYTES_MAX);
    memcpy(recipient->reply, reply, size);
    recipient->reply[size] = '\0';
    recipient->result = result;
}

void recipient_later(struct relay_recipient *recipient, const char *reply)
{
    set_reply(recipient, -EAGAIN, reply);
}

/* All that are asked or taken. */
static void set_open(struct course *course, int result, const char *reply)
{
    for (unsigned i = 0; i < course->count; i++)
        if (course->recipients[i]->result > 0)
            set_reply(course->recipients[i], result, reply);
}

static bool is_open(const struct course *course, int result)
{
    for (unsigned i = 0; i < course->count; i++)
        if (course->recipients[i]->result == result)
            return true;
    return false;
}

/* ---------------------------------------------------------------- lines and replies */

int course_fail(struct course *course, const char *problem, const char *later)
{
    if (course->transfer->problem == NULL) {
        course->transfer->problem = problem;
        course->later = later;
    }
    return -EAGAIN;
}

/* F1: it cannot be told whose any answer was. */
static int distrust(struct course *course, const char *problem)
{
    course->is_distrusted = true;
    for (unsigned i = 0; i < course->count; i++)
        recipient_later(course->recipients[i], nonsense);
    return course_fail(course, problem, NULL);
}

static void say(struct course *course, struct slice bytes)
{
    course->said += bytes.size;
    stream_write(course->stream, bytes);
}

/* One step of waiting. -EINPROGRESS: go on. */
static int glance(struct course *course)
{
    struct transfer *transfer = course->transfer;
    if (course->asks_gone && transfer->gone(transfer->argument))
        return course_fail(course, "the sender left", NULL);
    if (core_now_ns(transfer->core) >= transfer->deadline_ns)
        return course_fail(course, "timed out", NULL);
    stream_resume(course->stream);
    if (course->stream->end == -ETIMEDOUT) /* not by our deadline: it stays, whoever asks again */
        return course_fail(course, "timed out", NULL);
    return -EINPROGRESS;
}

static int read_line(struct course *course, struct slice *ret_line)
{
    const struct transfer *transfer = course->transfer;
    int result;
    do {
        uint64_t due_ns = transfer->deadline_ns,
                 glance_ns = core_now_ns(transfer->core) + GLANCE_NS;
        stream_deadline(course->stream,
                        course->asks_gone && glance_ns < due_ns ? glance_ns : due_ns);
        result = stream_read_line(course->stream, REPLY_LINE_BYTES_MAX, ret_line);
    } while (result == -ETIMEDOUT && (result = glance(course)) == -EINPROGRESS);
    stream_deadline(course->stream, transfer->deadline_ns);
    if (result == -EAGAIN)
        return result; /* said by glance */
    if (result == -EMSGSIZE || result == -EBADMSG)
        return distrust(course, "sent a line that is none");
    if (result < 0)
        return course_fail(course,
                           result == -EPIPE        ? "closed the connection"
                           : result == -ECONNRESET ? "reset the connection"
                           : result == -ENOMEM     ? "out of memory"
                                                   : "the connection broke",
                           NULL);
    return 0;
}

int course_reply(struct course *course)
{
    unsigned lines = 0;
    struct smtp_reply reply;
    if (course->is_kept) {
        course->is_kept = false;
        return course->kept_result;
    }
    do {
        struct slice line;
        int result = read_line(course, &line);
        if (result < 0)
            return result;
        if (!smtp_reply_parse(line, &reply) || (lines > 0 && reply.number != course->number) ||
            ++lines > REPLY_LINES_MAX || memchr(line.data, 0, line.size) != NULL)
            return distrust(course, "sent what is no answer");
        course->number = reply.number;
        if (lines == 1) /* which says most, as a rule */
            smtp_reply_line(&reply, course->line, sizeof course->line);
    } while (reply.is_more);
    if (course->number == 421) /* it is not we who close: RFC 5321, section 3.8 */
        memcpy(course->line, "451", 3);
    return 0;
}

enum worth { WORTH_YES, WORTH_LATER, WORTH_NO, WORTH_BYE, WORTH_OURS, WORTH_NOTHING };

/* Of the last reply. */
static enum worth worth_of(const struct course *course)
{
    static const uint16_t ours[] = {500, 502, 503, 504, 530, 534, 535, 538, 555};
    unsigned number = course->number;
    if (number / 10 == 25)
        return WORTH_YES;
    if (number == 421)
        return WORTH_BYE;
    if (number < 400)
        return WORTH_NOTHING;
    if (number < 500)
        return WORTH_LATER;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (number == ours[i])
            return WORTH_OURS;
    return WORTH_NO;
}

/* What is to be sent on has ended with this reply. */
static int end_of(struct course *course, enum worth worth)
{
    if (worth == WORTH_BYE) {
        course_fail(course, "said good-bye", NULL);
        set_open(course, -EAGAIN, course->line);
        return -EAGAIN;
    }
    return distrust(course, "sent what is no answer");
}

/* The last reply is about this one. 0; -EAGAIN: the connection is of no use. */
static int settle(struct course *course, struct relay_recipient *recipient, int yes)
{
    enum worth worth = worth_of(course);
    switch (worth) {
    case WORTH_YES:
        set_reply(recipient, yes, course->line);
        return 0;
    case WORTH_LATER:
        set_reply(recipient, -EAGAIN, course->line);
        return 0;
    case WORTH_NO:
        set_reply(recipient, -EACCES, course->line);
        return 0;
    case WORTH_OURS:
        recipient_later(recipient, not_understood);
        return 0;
    default:
        return end_of(course, worth);
    }
}

/* The last reply is about all of it, and is no "yes". */
static int settle_all(struct course *course)
{
    enum worth worth = worth_of(course);
    if (worth == WORTH_LATER || worth == WORTH_NO)
        set_open(course, worth == WORTH_NO ? -EACCES : -EAGAIN, course->line);
    else if (worth == WORTH_OURS)
        set_open(course, -EAGAIN, not_understood);
    else
        return end_of(course, worth);
    return 0;
}

/* What has come by now was not asked for. */
static int check_silence(struct course *course)
{
    return stream_unread(course->stream) > 0 ? distrust(course, "answered more than it was asked")
                                             : 0;
}

/* ---------------------------------------------------------------- what is offered, what is fit */

static bool can(const struct course *course, const char *word)
{
    return words_find(course->transfer->offers, slice_cstr(word), NULL);
}

/* Can stand in a line, and does not end it. */
static bool is_fit(struct slice text, bool with_blanks)
{
    for (size_t i = 0; i < text.size; i++)
        if ((unsigned char)text.data[i] < (with_blanks ? ' ' : '!') || text.data[i] == 0x7f)
            return false;
    return text.size <= PARAMETER_BYTES_MAX;
}

/* Only a quoted local part holds blanks and brackets (RFC 5321, section 4.1.2). */
static bool is_fit_address(struct slice address)
{
    bool is_quoted = address.size > 0 && address.data[0] == '"';
    return is_fit(address, is_quoted) && (is_quoted || slice_find(address, '>') == address.size);
}

static bool is_ascii(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] & 0x80)
            return false;
    return true;
}

static bool is_header_ascii(struct slice message)
{
    while (message.size > 0) {
        size_t lf = slice_find(message, '\n');
        if (lf == 0 || (lf == 1 && message.data[0] == '\r'))
            return true; /* what follows is the body */
        if (!is_ascii(slice_first(message, lf)))
            return false;
        message = slice_from(message, lf + 1);
    }
    return true;
}

/* RFC 6531, section 3.5: it goes only where it is understood. */
static bool needs_utf8(const struct relay_message *message)
{
    return !is_ascii(message->from) || (message->is_utf8 && !is_header_ascii(message->bytes));
}

/* What cannot be handed on here at all, as a reply; NULL: it can. */
static const char *refusal_of(const struct course *course)
{
    const struct relay_message *message = course->message;
    if (!is_fit_address(message->from))
        return "553 5.1.7 The sender's address cannot be handed on";
    if (!can(course, "SMTPUTF8") && needs_utf8(message))
        return "553 5.6.7 The mail store does not take SMTPUTF8";
    if (message->body == RELAY_BINARYMIME &&
        !(can(course, "BINARYMIME") && can(course, "CHUNKING")))
        return "554 5.6.1 The mail store does not take BINARYMIME";
    if (message->requires_tls && !stream_is_secure(course->stream))
        return "550 5.7.30 The mail store is not reached by TLS, which REQUIRETLS asks for";
    return NULL;
}

static void refuse_addresses(struct course *course)
{
    for (unsigned i = 0; i < course->count; i++) {
        struct relay_recipient *recipient = course->recipients[i];
        if (recipient->address.size == 0 || !is_fit_address(recipient->address))
            set_reply(recipient, -EACCES, "553 5.1.3 The address cannot be handed on");
        else if (!can(course, "SMTPUTF8") && !is_ascii(recipient->address))
            set_reply(recipient, -EACCES, "553 5.6.7 The mail store does not take SMTPUTF8");
    }
}

/* ---------------------------------------------------------------- the envelope */

static void say_value(struct course *course, const char *name, struct slice value)
{
    if (value.size == 0 || !is_fit(value, false))
        return;
    say(course, slice_cstr(name));
    say(course, value);
}

static void say_mail(struct course *course)
{
    const struct relay_message *message = course->message;
    bool is_utf8 = can(course, "SMTPUTF8");
    say(course, SLICE("MAIL FROM:<"));
    if (message != NULL)
        say(course, message->from);
    say(course, SLICE(">"));
    if (message == NULL) {
        is_utf8 = is_utf8 && !is_ascii(course->recipients[0]->address);
    } else {
        char size[24];
        snprintf(size, sizeof size, "%zu", message->bytes.size);
        if (can(course, "SIZE"))
            say_value(course, " SIZE=", slice_cstr(size));
        if (message->body == RELAY_BINARYMIME)
            say(course, SLICE(" BODY=BINARYMIME"));
        else if (message->body == RELAY_8BITMIME && can(course, "8BITMIME"))
            say(course, SLICE(" BODY=8BITMIME"));
        if (can(course, "DSN")) {
            say_value(course, " RET=", message->ret);
            say_value(course, " ENVID=", message->envid);
        }
        if (message->requires_tls && can(course, "REQUIRETLS"))
            say(course, SLICE(" REQUIRETLS"));
        is_utf8 = is_utf8 && message->is_utf8;
    }
    say(course, is_utf8 ? SLICE(" SMTPUTF8\r\n") : SLICE("\r\n"));
}

static void say_recipient(struct course *course, const struct relay_recipient *recipient)
{
    say(course, SLICE("RCPT TO:<"));
    say(course, recipient->address);
    say(course, SLICE(">"));
    if (course->message != NULL && can(course, "DSN")) {
        say_value(course, " NOTIFY=", recipient->notify);
        say_value(course, " ORCPT=", recipient->orcpt);
    }
    say(course, SLICE("\r\n"));
}

/* RCPT for some of those from `next` on: up to which. */
static unsigned say_recipients(struct course *course, unsigned next, unsigned commands)
{
    for (; next < course->count && commands > 0 && course->said < BATCH_BYTES_MAX; next++) {
        if (course->recipients[next]->result != RECIPIENT_UNASKED)
            continue;
        say_recipient(course, course->recipients[next]);
        commands--;
    }
    return next;
}

/* RCPT is not heard without MAIL: what is answered to those on their way is passed over. */
static int mail_refused(struct course *course, unsigned on_their_way)
{
    if (course->message == NULL && worth_of(course) == WORTH_NO) {
        /* it takes no null sender, so that nothing is known of the recipient */
        course_fail(course, "refuses the null sender",
                    "451 4.4.0 The mail store cannot be asked about its users");
        return -EAGAIN;
    }
    int result = settle_all(course);
    while (result == 0 && on_their_way-- > 0)
        if ((result = course_reply(course)) == 0 && course->number < 400)
            result = distrust(course, "sent what is no answer");
    return result < 0 ? result : check_silence(course);
}

/* MAIL and all RCPT. *ret_is_heard: a recipient has been answered. */
static int say_envelope(struct course *course, bool *ret_is_heard)
{
    bool pipelines = can(course, "PIPELINING");
    unsigned answered = 0, next = 0;
    int result = check_silence(course);
    if (result < 0)
        return result;
    say_mail(course);
    if (pipelines)
        next = say_recipients(course, 0, BATCH_COMMANDS_MAX);
    if ((result = course_reply(course)) < 0)
        return result;
    if (worth_of(course) != WORTH_YES) {
        unsigned on_their_way = 0;
        for (unsigned i = 0; i < next; i++)
            on_their_way += course->recipients[i]->result == RECIPIENT_UNASKED;
        return mail_refused(course, on_their_way);
    }
    for (;;) {
        for (; answered < next; answered++) {
            struct relay_recipient *recipient = course->recipients[answered];
            if (recipient->result != RECIPIENT_UNASKED)
                continue;
            if ((result = course_reply(course)) < 0 ||
                (result =
                     settle(course, recipient, course->message != NULL ? RECIPIENT_TAKEN : 0)) < 0)
                return result;
            *ret_is_heard = true;
        }
        if (next == course->count)
            return check_silence(course);
        if ((result = check_silence(course)) < 0)
            return result;
        course->said = 0;
        next = say_recipients(course, next, pipelines ? BATCH_COMMANDS_MAX : 1);
    }
}

/* ---------------------------------------------------------------- the message */

/* 354. 0; 1: it takes nothing, and all have their answers; -EAGAIN. */
static int say_data(struct course *course)
{
    say(course, SLICE("DATA\r\n"));
    int result = course_reply(course);
    if (result < 0 || course->number == 354)
        return result;
    result = settle_all(course);
    if (result == 0)
        result = check_silence(course);
    return result < 0 ? result : 1;
}

/* The connection is in the middle of the message, so of no use. Only that the message is too big
 * can be known before it has been seen; any other "no" may be meant for something else (F1). */
static int settle_early(struct course *course)
{
    enum worth worth = worth_of(course);
    course_fail(course, "answered before it had the message", nonsense);
    if (course->number == 552)
        set_open(course, -EACCES, course->line);
    else if (worth == WORTH_LATER || worth == WORTH_BYE)
        set_open(course, -EAGAIN, course->line);
    return -EAGAIN;
}

static int read_verdicts(struct course *course)
{
    int result = 0;
    for (unsigned i = 0; i < course->count && result == 0; i++)
        if (course->recipients[i]->result == RECIPIENT_TAKEN &&
            (result = course_reply(course)) == 0)
            result = settle(course, course->recipients[i], 0);
    return result;
}

static int send_message(struct course *course)
{
    bool by_bdat = can(course, "CHUNKING");
    int result = by_bdat ? 0 : say_data(course);
    if (result == 0)
        result = course_send(course, by_bdat);
    if (result == 0) {
        if ((result = read_verdicts(course)) == 0 && (result = check_silence(course)) == 0)
            return 0;
        course->transfer->may_come_twice =
            course->is_distrusted || is_open(course, RECIPIENT_TAKEN);
        return result;
    }
    if (result == -EALREADY)
        return settle_early(course);
    if (result != -EBADMSG)
        return result;
    set_open(course, -EACCES,
             "554 5.6.1 The message holds a bare CR or LF, which the mail store does not take");
    return course_fail(course, "takes no bare CR or LF", NULL);
}

/* ---------------------------------------------------------------- the whole */

static void course_begin(struct course *course, struct transfer *transfer)
{
    transfer->problem = NULL;
    transfer->may_come_twice = false;
    course->transfer = transfer;
    course->stream = &transfer->link->stream;
    course->asks_gone = transfer->gone != NULL;
    for (unsigned i = 0; i < course->count; i++)
        course->recipients[i]->result = RECIPIENT_UNASKED;
}

static int course_end(struct course *course, int result)
{
    set_open(course, -EAGAIN, course->later != NULL ? course->later : lost);
    return result < 0 ? -EAGAIN : 0;
}

int transfer_message(struct transfer *transfer, const struct relay_message *message,
                     struct relay_recipient *const *recipients, unsigned count, bool *ret_is_sent)
{
    struct course course = {.message = message, .recipients = recipients, .count = count};
    bool is_heard = false;
    course_begin(&course, transfer);
    const char *refusal = refusal_of(&course);
    if (refusal != NULL)
        set_open(&course, -EACCES, refusal);
    else
        refuse_addresses(&course);
    int result = is_open(&course, RECIPIENT_UNASKED) ? say_envelope(&course, &is_heard) : 0;
    if (result == 0 && is_open(&course, RECIPIENT_TAKEN))
        result = send_message(&course);
    *ret_is_sent = is_heard;
    return course_end(&course, result);
}

int transfer_ask(struct transfer *transfer, struct relay_recipient *recipient)
{
    struct relay_recipient *const recipients[] = {recipient};
    struct course course = {.recipients = recipients, .count = 1};
    bool is_heard = false;
    int result = 0;
    course_begin(&course, transfer);
    refuse_addresses(&course);
    if (is_open(&course, RECIPIENT_UNASKED))
        result = say_envelope(&course, &is_heard);
    return course_end(&course, result);
}

void transfer_leave(struct transfer *transfer)
{
    stream_write(&transfer->link->stream, SLICE("QUIT\r\n"));
}
