/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The model of a store (store_model.h). A message's text is made from its number, so that reading
 * it tells which one it is and that every byte is right.
 */
#include "store_model.h"

#include <stdio.h>
#include <stdlib.h>

enum { READ_TRIES = 40 };

void model_begin(struct model *model, struct sim *sim)
{
    memset(model, 0, sizeof *model);
    model->sim = sim;
    for (unsigned i = 0; i < MODEL_USERS; i++)
        snprintf(model->users[i].name, sizeof model->users[i].name, "user%u@example", i);
}

uint32_t model_number_new(struct model *model)
{
    if (model->number_count + 1 >= MODEL_NUMBERS)
        return 0;
    return ++model->number_count;
}

size_t model_text(uint32_t number, char *data, size_t capacity)
{
    size_t size = (size_t)snprintf(data, capacity, "Subject: %u\r\n\r\n", number);
    uint32_t more = number * 2654435761u >> 16;
    more = number % 7 == 0 ? more % 8000 : more % 300;
    for (uint32_t i = 0; i < more && size + 2 < capacity; i++)
        data[size++] = (char)('a' + (number + i * i) % 26);
    data[size++] = '\r';
    data[size++] = '\n';
    return size;
}

/* ---------------------------------------------------------------- states */

struct model_box *model_box(struct model_state *state, const char *name)
{
    for (unsigned i = 0; i < state->count; i++)
        if (strcmp(state->boxes[i].name, name) == 0)
            return &state->boxes[i];
    return NULL;
}

struct model_box *model_box_add(struct model_state *state, const char *name)
{
    if (state->count == MODEL_BOXES)
        abort();
    struct model_box *box = &state->boxes[state->count++];
    char copy[MODEL_NAME_BYTES]; /* `name` may lie in another box */
    snprintf(copy, sizeof copy, "%s", name);
    memcpy(box->name, copy, sizeof copy);
    box->uidvalidity = 0;
    box->uidnext = 1;
    box->modseq = 0;
    box->count = 0;
    return box;
}

void model_box_remove(struct model_state *state, const char *name)
{
    struct model_box *box = model_box(state, name);
    if (box != NULL)
        *box = state->boxes[--state->count];
}

struct model_mail *model_mail(struct model_box *box, uint32_t uid)
{
    for (unsigned i = 0; i < box->count; i++)
        if (box->mails[i].uid == uid)
            return &box->mails[i];
    return NULL;
}

void model_mail_add(struct model_box *box, uint32_t uid, uint32_t number, uint16_t flags)
{
    if (box->count < MODEL_MAILS)
        box->mails[box->count++] = (struct model_mail){uid, number, flags};
    if (uid >= box->uidnext)
        box->uidnext = uid + 1;
}

void model_mail_remove(struct model_box *box, uint32_t uid)
{
    struct model_mail *mail = model_mail(box, uid);
    if (mail == NULL)
        return;
    box->count--;
    memmove(mail, mail + 1, (size_t)(box->mails + box->count - mail) * sizeof *mail);
}

/* ---------------------------------------------------------------- reading what is there */

static int read_number(struct model *model, struct mailbox *mailbox, const struct mail_entry *entry,
                       uint32_t *ret_number)
{
    char is[MODEL_TEXT_MAX + 1], want[MODEL_TEXT_MAX];
    int64_t result = -EIO;
    struct mail_entry copy = *entry;
    for (unsigned tries = 0; tries < READ_TRIES && (result == -EIO || result == -ENOMEM); tries++)
        result = message_read(mailbox, &copy, 0, is, MODEL_TEXT_MAX);
    if (result == -EIO || result == -ENOMEM)
        return (int)result;
    if (result < 0) {
        sim_fail(model->sim, "message %u cannot be read: %lld", copy.uid, (long long)result);
        return (int)result;
    }
    is[result] = '\0';
    uint32_t number = (uint32_t)strtoul(is + 9, NULL, 10);
    size_t size = model_text(number, want, sizeof want);
    if (size != (size_t)result || memcmp(is, want, size) != 0)
        sim_fail(model->sim, "message %u has other bytes than were sent", number);
    *ret_number = number;
    return 0;
}

static int read_box(struct model *model, struct account *account, struct mailbox *mailbox,
                    struct model_box *box)
{
    struct mailbox_status status;
    struct view view = {0};
    int result = mailbox_status(mailbox, &status);
    if (result == 0)
        result = view_open(account, mailbox, true, &view);
    if (result < 0)
        return result;
    box->uidvalidity = status.uidvalidity;
    box->uidnext = mailbox_status(mailbox, &status) == 0 ? status.uidnext : 0;
    box->modseq = status.highest_modseq;
    uint32_t unseen = 0, before = 0;
    for (uint32_t i = 1; i <= view.count && result == 0; i++) {
        struct mail_entry entry = *view_entry(&view, i);
        uint32_t number = 0;
        result = read_number(model, mailbox, &entry, &number);
        if (result == 0) {
            uint32_t uidnext = box->uidnext;
            model_mail_add(box, entry.uid, number, entry.flags);
            box->uidnext = uidnext;
        }
        if (entry.uid <= before || entry.uid >= box->uidnext || entry.modseq > box->modseq)
            sim_fail(model->sim, "UID %u behind %u, next %u", entry.uid, before, box->uidnext);
        before = entry.uid;
        unseen += (entry.flags & MAIL_SEEN) == 0;
    }
    if (result == 0 && !view_stale(&view) &&
        (status.messages != view.count || status.unseen != unseen))
        sim_fail(model->sim, "status counts %u/%u, the view %u/%u", status.messages, status.unseen,
                 view.count, unseen);
    view_close(&view);
    return result;
}

int model_read(struct model *model, struct account *account)
{
    model->read_began = model->acknowledgements;
    struct model_state *state = &model->actual;
    state->count = 0;
    for (struct mailbox *mailbox = NULL; (mailbox = account_next(account, mailbox)) != NULL;) {
        char name[MODEL_NAME_BYTES];
        snprintf(name, sizeof name, "%.*s", (int)mailbox_name(mailbox).size,
                 mailbox_name(mailbox).data);
        int result = read_box(model, account, mailbox, model_box_add(state, name));
        if (result < 0)
            return result;
    }
    return 0;
}

/* ---------------------------------------------------------------- comparing */

/* Was this message sent to the user, and not seen before? */
static bool *outstanding(struct model *model, unsigned user, uint32_t number)
{
    if (number == 0 || number > model->number_count)
        return NULL;
    struct model_number *sent = &model->numbers[number];
    for (unsigned i = 0; i < sent->recipient_count; i++)
        if (sent->users[i] == user && !sent->seen[i])
            return &sent->seen[i];
    return NULL;
}

static bool same(const struct model_mail *want, const struct model_mail *is, uint32_t uidnext)
{
    return want->number == is->number && want->flags == is->flags &&
           (want->uid == 0 ? is->uid >= uidnext : want->uid == is->uid);
}

static bool box_matches(struct model *model, unsigned user, const struct model_box *want,
                        const struct model_box *is, char *why, size_t why_size)
{
    unsigned at = 0;
    if ((want->uidvalidity != 0 && want->uidvalidity != is->uidvalidity) ||
        is->uidnext < want->uidnext || is->modseq < want->modseq) {
        snprintf(why, why_size, "%s: validity %u, next %u, modseq %llu; was %u, %u, %llu", is->name,
                 is->uidvalidity, is->uidnext, (unsigned long long)is->modseq, want->uidvalidity,
                 want->uidnext, (unsigned long long)want->modseq);
        return false;
    }
    for (unsigned i = 0; i < is->count; i++) {
        const struct model_mail *mail = &is->mails[i];
        if (at < want->count && same(&want->mails[at], mail, want->uidnext)) {
            at++;
        } else if (mail->uid < want->uidnext || mail->flags != 0 ||
                   outstanding(model, user, mail->number) == NULL) {
            snprintf(why, why_size, "%s: UID %u is message %u with flags %x, not expected",
                     is->name, mail->uid, mail->number, mail->flags);
            return false;
        }
    }
    if (at < want->count)
        snprintf(why, why_size, "%s: UID %u, message %u with flags %x is missing", is->name,
                 want->mails[at].uid, want->mails[at].number, want->mails[at].flags);
    return at == want->count;
}

static bool state_matches(struct model *model, unsigned user, struct model_state *want, char *why,
                          size_t why_size)
{
    for (unsigned i = 0; i < want->count; i++) {
        struct model_box *is = model_box(&model->actual, want->boxes[i].name);
        if (is == NULL) {
            snprintf(why, why_size, "mailbox %s is missing", want->boxes[i].name);
            return false;
        }
        if (!box_matches(model, user, &want->boxes[i], is, why, why_size))
            return false;
    }
    if (want->count != model->actual.count)
        snprintf(why, why_size, "%u mailboxes, not %u", model->actual.count, want->count);
    return want->count == model->actual.count;
}

/* M4, for names. */
static void validity_check(struct model *model, struct model_user *user, struct model_box *is,
                           const struct model_box *was)
{
    unsigned i = 0;
    while (i < user->highest_count && strcmp(user->highest[i].name, is->name) != 0)
        i++;
    if (i == user->highest_count) {
        if (i == sizeof user->highest / sizeof user->highest[0])
            return;
        snprintf(user->highest[i].name, sizeof user->highest[i].name, "%s", is->name);
        user->highest_count++;
    } else if (was != NULL && was->uidvalidity == 0 &&
               is->uidvalidity <= user->highest[i].uidvalidity) {
        sim_fail(model->sim, "%s %s: UIDVALIDITY %u after %u", user->name, is->name,
                 is->uidvalidity, user->highest[i].uidvalidity);
    }
    if (is->uidvalidity > user->highest[i].uidvalidity)
        user->highest[i].uidvalidity = is->uidvalidity;
}

static void take_over(struct model *model, unsigned index, struct model_state *want)
{
    struct model_user *user = &model->users[index];
    for (unsigned i = 0; i < model->actual.count; i++) {
        struct model_box *is = &model->actual.boxes[i], *was = model_box(want, is->name);
        validity_check(model, user, is, was);
        for (unsigned j = 0; j < is->count; j++) {
            bool known = false;
            for (unsigned k = 0; was != NULL && k < was->count && !known; k++)
                known = same(&was->mails[k], &is->mails[j], was->uidnext);
            bool *seen = known ? NULL : outstanding(model, index, is->mails[j].number);
            if (seen != NULL)
                *seen = true;
            else if (!known)
                sim_fail(model->sim, "M1: message %u is twice in %s", is->mails[j].number,
                         user->name);
        }
    }
    for (uint32_t number = 1; number <= model->number_count; number++) {
        const struct model_number *sent = &model->numbers[number];
        for (unsigned i = 0; i < sent->recipient_count; i++)
            if (sent->users[i] == index && sent->acknowledged && sent->at_once[i] &&
                !sent->seen[i] && sent->acknowledged_at <= model->read_began)
                sim_fail(model->sim, "M1: message %u, acknowledged, is not in %s", number,
                         user->name);
    }
    user->now = model->actual;
    user->uncertain = false;
    user->exists = true;
}

void model_compare(struct model *model, unsigned index, const char *when)
{
    struct model_user *user = &model->users[index];
    char why[200] = "", why_after[200] = "";
    struct model_state *want = &user->now;
    model->checks++;
    if (!user->exists) { /* whatever deliveries made of it */
        want->count = 0;
        for (unsigned i = 0; i < model->actual.count; i++)
            model_box_add(want, model->actual.boxes[i].name);
    }
    if (!state_matches(model, index, want, why, sizeof why)) {
        want = &user->after;
        if (!user->uncertain || !state_matches(model, index, want, why_after, sizeof why_after)) {
            sim_fail(model->sim, "%s, %s: %s%s%s", user->name, when, why,
                     user->uncertain ? "; or: " : "", why_after);
            return;
        }
    }
    take_over(model, index, want);
}

static bool user_has(const struct model *model, unsigned user, uint32_t number)
{
    const struct model_number *sent = &model->numbers[number];
    for (unsigned i = 0; i < sent->recipient_count; i++)
        if (sent->users[i] == user)
            return sent->seen[i];
    return true;
}

void model_finish(struct model *model)
{
    for (uint32_t number = 1; number <= model->number_count; number++) {
        const struct model_number *sent = &model->numbers[number];
        if (!sent->acknowledged)
            continue;
        for (unsigned i = 0; i < sent->recipient_count; i++)
            if (!user_has(model, sent->users[i], number))
                sim_fail(model->sim, "M1: message %u never reached %s", number,
                         model->users[sent->users[i]].name);
        model->delivered += sent->recipient_count;
    }
}
