/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The rows of reply.h as bytes, and the one place where an -errno becomes a reply.
 */
#include "reply.h"

#include <errno.h>

#define REPLY_ROW(name, code, enhanced, text)                                                      \
    [REPLY_##name] = {code " " enhanced text "\r\n", sizeof(code " " enhanced text "\r\n") - 1},
const struct slice smtp_replies[REPLY_COUNT] = {SMTP_REPLY_TABLE(REPLY_ROW)};
#undef REPLY_ROW

enum smtp_reply smtp_reply_of(int error)
{
    switch (error) {
    case 0:
        return REPLY_OK;
    case -ENOSPC:
        return REPLY_NO_SPACE;
    case -EDQUOT:
        return REPLY_OVER_QUOTA;
    case -ENOMEM:
        return REPLY_NO_MEMORY;
    case -EAGAIN:
        return REPLY_BUSY;
    default:
        return REPLY_NO_STORE;
    }
}
