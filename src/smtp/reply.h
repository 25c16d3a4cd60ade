/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every reply of the SMTP and LMTP servers that is not made of parts: one row each, with its code
 * (RFC 5321 4.2), its enhanced code (RFC 2034, RFC 3463) and its text. Rows are whole lines, ready
 * to be sent, so a reply costs one copy.
 */
#ifndef RINGPOST_SMTP_REPLY_H
#define RINGPOST_SMTP_REPLY_H

#include "ringpost/slice.h"

/*      enum                code   enhanced  text */
#define SMTP_REPLY_TABLE(ROW)                                                                      \
    ROW(OK, "250", "2.0.0 ", "OK")                                                                 \
    ROW(SENDER_OK, "250", "2.1.0 ", "Sender OK")                                                   \
    ROW(RECIPIENT_OK, "250", "2.1.5 ", "Recipient OK")                                             \
    ROW(TLS_READY, "220", "2.0.0 ", "Ready to start TLS")                                          \
    ROW(AUTH_OK, "235", "2.7.0 ", "Authentication successful")                                     \
    ROW(SEND_DATA, "354", "", "End data with <CR><LF>.<CR><LF>")                                   \
    ROW(BYE, "221", "2.0.0 ", "Bye")                                                               \
    ROW(VERIFY_NOT, "252", "2.0.0 ",                                                               \
        "Will not verify, but will accept mail and try to deliver it")                             \
    /* commands */                                                                                 \
    ROW(UNKNOWN, "500", "5.5.2 ", "Command not recognized")                                        \
    ROW(TOO_LONG, "500", "5.5.2 ", "Line too long")                                                \
    ROW(BARE, "500", "5.5.2 ", "Lines end with CRLF; a bare CR, a bare LF or NUL is refused")      \
    ROW(NO_ARGUMENTS, "501", "5.5.4 ", "No arguments allowed")                                     \
    ROW(ARGUMENT_WANTED, "501", "5.5.4 ", "An argument is wanted")                                 \
    ROW(ARGUMENT_BYTES, "501", "5.5.4 ", "Argument holds bytes that are not allowed")              \
    ROW(HELLO_SYNTAX, "501", "5.5.4 ", "A domain or address literal is wanted")                    \
    ROW(MAIL_SYNTAX, "501", "5.5.4 ", "Syntax: MAIL FROM:<address> [parameters]")                  \
    ROW(RCPT_SYNTAX, "501", "5.5.4 ", "Syntax: RCPT TO:<address> [parameters]")                    \
    ROW(BDAT_SYNTAX, "501", "5.5.4 ", "Syntax: BDAT size [LAST]")                                  \
    ROW(NOT_IMPLEMENTED, "502", "5.5.1 ", "Command not implemented")                               \
    ROW(HELLO_FIRST, "503", "5.5.1 ", "Say hello first")                                           \
    ROW(MAIL_TWICE, "503", "5.5.1 ", "A transaction is under way")                                 \
    ROW(MAIL_FIRST, "503", "5.5.1 ", "MAIL comes first")                                           \
    ROW(NO_RECIPIENTS, "503", "5.5.1 ", "No valid recipients")                                     \
    ROW(NOT_AFTER_BDAT, "503", "5.5.1 ", "Not after BDAT")                                         \
    ROW(BDAT_ONLY, "503", "5.5.1 ", "BODY=BINARYMIME wants BDAT")                                  \
    ROW(OUT_OF_STEP, "503", "5.5.0 ", "Wait for the reply before sending more")                    \
    ROW(XCLIENT_SYNTAX, "501", "5.5.4 ", "Bad XCLIENT attribute")                                  \
    /* TLS and AUTH */                                                                             \
    ROW(NEEDS_TLS, "530", "5.7.0 ", "Say STARTTLS first")                                          \
    ROW(TLS_TWICE, "503", "5.5.1 ", "TLS is there already")                                        \
    ROW(AUTH_SYNTAX, "501", "5.5.4 ", "Syntax: AUTH mechanism [initial-response]")                 \
    ROW(AUTH_FIRST, "530", "5.7.0 ", "Authentication required")                                    \
    ROW(AUTH_TWICE, "503", "5.5.1 ", "Already authenticated")                                      \
    ROW(AUTH_NEEDS_TLS, "538", "5.7.11 ", "Encryption is required for authentication")             \
    ROW(AUTH_FAILED, "535", "5.7.8 ", "Authentication failed")                                     \
    ROW(AUTH_NOT_NOW, "454", "4.7.0 ", "Temporary authentication failure")                         \
    ROW(AUTH_MECHANISM, "504", "5.5.4 ", "Mechanism not available")                                \
    ROW(AUTH_MANY, "454", "4.7.0 ", "Too many connections, try again later")                       \
    ROW(AUTH_ENDED, "501", "5.7.0 ", "Authentication cancelled")                                   \
    ROW(AUTH_BAD, "501", "5.5.2 ", "Cannot decode the response")                                   \
    ROW(AUTH_LONG, "500", "5.5.6 ", "Response is too long")                                        \
    ROW(NOT_TRUSTED, "550", "5.7.0 ", "Not from here")                                             \
    /* parameters */                                                                               \
    ROW(PARAMETER_UNKNOWN, "555", "5.5.4 ", "Parameter not recognized")                            \
    ROW(PARAMETER_SYNTAX, "501", "5.5.4 ", "Bad parameter")                                        \
    ROW(PARAMETER_TWICE, "501", "5.5.4 ", "Parameter given twice")                                 \
    /* addresses */                                                                                \
    ROW(SENDER_SYNTAX, "553", "5.1.7 ", "Bad sender address")                                      \
    ROW(RECIPIENT_SYNTAX, "553", "5.1.3 ", "Bad recipient address")                                \
    ROW(NOT_ASCII, "553", "5.6.7 ", "Address is not ASCII and SMTPUTF8 was not asked for")         \
    ROW(USER_UNKNOWN, "550", "5.1.1 ", "No such user here")                                        \
    ROW(NO_RELAY, "550", "5.7.1 ", "Relaying is not allowed")                                      \
    ROW(NO_RELAY_YET, "550", "5.7.1 ", "Relaying is not available")                                \
    ROW(NOT_YOUR_SENDER, "550", "5.7.1 ", "Sender address is not yours")                           \
    ROW(QUOTA, "450", "4.7.1 ", "You have sent too much, try again later")                         \
    ROW(RECIPIENTS_MANY, "452", "4.5.3 ", "Too many recipients")                                   \
    /* messages */                                                                                 \
    ROW(TOO_BIG, "552", "5.3.4 ", "Message is too big")                                            \
    ROW(BARE_IN_DATA, "550", "5.5.2 ", "Message holds a bare CR or LF")                            \
    ROW(LOOP, "554", "5.4.6 ", "Mail loop: the message has been here, or passed too many hosts")   \
    /* the world's failures */                                                                     \
    ROW(NO_MEMORY, "452", "4.3.1 ", "Short of memory, try again later")                            \
    ROW(NO_SPACE, "452", "4.3.1 ", "Short of disk space, try again later")                         \
    ROW(NO_STORE, "451", "4.3.0 ", "Mail store is not available, try again later")                 \
    ROW(NO_DIRECTORY, "451", "4.4.3 ", "Cannot ask about this user now, try again later")          \
    ROW(NO_BACKEND, "451", "4.4.1 ", "Mail server does not answer, try again later")               \
    ROW(BUSY, "451", "4.3.2 ", "Busy, try again later")                                            \
    ROW(OVER_QUOTA, "452", "4.2.2 ", "Mailbox is full")                                            \
    /* goodbyes */                                                                                 \
    ROW(BYE_DRAIN, "421", "4.3.2 ", "Server is shutting down")                                     \
    ROW(BYE_LATE, "421", "4.4.2 ", "Timeout, closing connection")                                  \
    ROW(BYE_ERRORS, "421", "4.7.0 ", "Too many errors")                                            \
    ROW(BYE_JUNK, "421", "4.7.0 ", "Too many commands without effect")                             \
    ROW(BYE_RECIPIENTS, "421", "4.5.3 ", "Far too many recipients")                                \
    ROW(BYE_MEMORY, "421", "4.3.0 ", "Short of memory")                                            \
    ROW(BYE_STORE, "421", "4.3.0 ", "Mail store is not available")                                 \
    ROW(BYE_KICKED, "421", "4.3.2 ", "Closed by the operator")                                     \
    ROW(BYE_INJECTED, "554", "5.5.0 ", "Wait for the handshake before sending more")               \
    ROW(BYE_MANY, "421", "4.7.0 ", "Too many connections, try again later")                        \
    ROW(BYE_OVERLOAD, "421", "4.3.2 ", "Server is busy, try again later")                          \
    ROW(BYE_FORBIDDEN, "500", "5.5.1 ", "This is a mail server")                                   \
    ROW(BYE_EARLY, "554", "5.5.0 ", "Wait for the greeting before speaking")

#define SMTP_REPLY_ENUM(name, code, enhanced, text) REPLY_##name,
enum smtp_reply { SMTP_REPLY_TABLE(SMTP_REPLY_ENUM) REPLY_COUNT };
#undef SMTP_REPLY_ENUM

/* The line, its CRLF included. */
extern const struct slice smtp_replies[REPLY_COUNT];

/* The same for parsers, whose verdict is a text (session.h, struct command). */
static inline const char *smtp_refusal(enum smtp_reply reply)
{
    return smtp_replies[reply].data;
}

/* What a failure of the store or of memory means to the peer. */
enum smtp_reply smtp_reply_of(int error);

#endif
