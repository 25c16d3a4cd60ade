/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Users as a web server knows them (libcurl is known here, and jansson's JSON in jwt.c and here):
 * nginx's auth_http request for passwords, RFC 7662 introspection for OAuth tokens.
 *
 *   GET url, Auth-Method: plain, Auth-User, Auth-Pass ... ─▶ Auth-Status: OK         right; and
 *                                                            Auth-Server, Auth-Port, Auth-User,
 *                                                            Auth-Pass: for the backend
 *                                                            Auth-Status: other text wrong
 *                                                              (none asked: no such user)
 *                                                            Auth-Error-Code: 4xx    try later
 *   POST token_url, token=... (HTTP Basic)               ─▶ {"active": true, "username": ...}
 *
 * Anything else, another HTTP status, no Auth-Status, no JSON, too much of it, is "not available"
 * (Y3).
 *
 * What a user typed stands in header lines (Y2): user and password are escaped as nginx does it
 * (blanks, control bytes and "%" as %XX), and a value that holds a control byte in spite of that
 * is not sent. Answers are cut off at 16 KiB. Redirections are not followed and no proxy is used:
 * passwords go where the config says.
 */
#include "directory_private.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum {
    ANSWER_BYTES_MAX = 16384,
    HEADER_BYTES_MAX = 3 * 1024 + 64, /* of one line of ours: a name or password, all escaped */
    VALUE_BYTES_MAX = 255,            /* of one header of the answer */
    TOKEN_BYTES_MAX = 8192,
    DELAY_SECONDS_MAX = 60
};

struct http {
    char *url, *token_url, *ca, *header, *client_id, *password, *user_claim;
    uint64_t timeout_ms;
    struct pool handles; /* CURL, with their connections */
};

/* One question and what came back. */
struct question {
    struct curl_slist *headers;
    bool failed; /* no memory, or a value that cannot be sent */
    char status[VALUE_BYTES_MAX + 1], user[VALUE_BYTES_MAX + 1], code[VALUE_BYTES_MAX + 1],
        wait[VALUE_BYTES_MAX + 1], server[VALUE_BYTES_MAX + 1], port[VALUE_BYTES_MAX + 1],
        pass[VALUE_BYTES_MAX + 1];
    char error[CURL_ERROR_SIZE];
    char line[HEADER_BYTES_MAX + 1];
    size_t received; /* header and body bytes */
    size_t body_size;
    char body[ANSWER_BYTES_MAX];
};

/* ---------------------------------------------------------------- what is sent */

static void add_line(struct question *question)
{
    struct curl_slist *more = curl_slist_append(question->headers, question->line);
    if (more == NULL)
        question->failed = true;
    else
        question->headers = more;
}

/* "name: value", or nothing for an empty value. */
static void add(struct question *question, const char *name, struct slice value)
{
    if (value.size == 0)
        return;
    for (size_t i = 0; i < value.size; i++)
        if ((unsigned char)value.data[i] < ' ' || value.data[i] == 127) {
            question->failed = true;
            return;
        }
    int size = snprintf(question->line, sizeof question->line, "%s: %.*s", name, (int)value.size,
                        value.data);
    if (size < 0 || size > HEADER_BYTES_MAX)
        question->failed = true;
    else
        add_line(question);
}

static void add_text(struct question *question, const char *name, const char *value)
{
    add(question, name, value != NULL ? slice_cstr(value) : (struct slice){0});
}

static void add_number(struct question *question, const char *name, unsigned value)
{
    char text[16];
    snprintf(text, sizeof text, "%u", value);
    add_text(question, name, text);
}

/* As nginx escapes for this purpose. */
static void add_escaped(struct question *question, const char *name, struct slice value)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t size = strlen(name);
    if (size + 2 + 3 * value.size > HEADER_BYTES_MAX) {
        question->failed = true;
        return;
    }
    memcpy(question->line, name, size);
    memcpy(question->line + size, ": ", 2);
    size += 2;
    for (size_t i = 0; i < value.size; i++) {
        unsigned char c = (unsigned char)value.data[i];
        if (c <= ' ' || c == '%' || c == 127) {
            question->line[size++] = '%';
            question->line[size++] = digits[c >> 4];
            question->line[size++] = digits[c & 15];
        } else {
            question->line[size++] = (char)c;
        }
    }
    question->line[size] = '\0';
    if (value.size == 0) { /* curl's way to write a header without a value */
        question->line[size - 2] = ';';
        question->line[size - 1] = '\0';
    }
    add_line(question);
}

static void add_client(struct question *question, const struct auth_client *client)
{
    char address[INET6_ADDRSTRLEN] = "";
    if (client->family == 4 || client->family == 6)
        inet_ntop(client->family == 4 ? AF_INET : AF_INET6, client->address, address,
                  sizeof address);
    add_text(question, "Auth-Protocol", client->protocol);
    add_number(question, "Auth-Login-Attempt", client->attempt);
    add_text(question, "Client-IP", address);
    add_text(question, "Client-Host", "[UNAVAILABLE]");
    add(question, "Auth-SMTP-Helo", client->hello);
    if (!client->is_secure)
        return;
    add_text(question, "Auth-SSL", "on");
    add_text(question, "Auth-SSL-Protocol", client->tls_version);
    add_text(question, "Auth-SSL-Cipher", client->tls_cipher);
    add_text(question, "Auth-SSL-Verify",
             client->certificate_subject.size > 0 ? "SUCCESS" : "NONE");
    add(question, "Auth-SSL-Subject", client->certificate_subject);
    add(question, "Auth-SSL-Issuer", client->certificate_issuer);
    add(question, "Auth-SSL-Serial", client->certificate_serial);
    add(question, "Auth-SSL-Fingerprint", client->certificate_fingerprint);
}

/* ---------------------------------------------------------------- what comes back */

static size_t take_body(char *data, size_t size, size_t count, void *argument)
{
    struct question *question = argument;
    size_t bytes = size * count;
    if (bytes > ANSWER_BYTES_MAX - question->received)
        return 0; /* too much: the transfer fails */
    question->received += bytes;
    memcpy(question->body + question->body_size, data, bytes);
    question->body_size += bytes;
    return bytes;
}

static size_t take_header(char *data, size_t size, size_t count, void *argument)
{
    struct question *question = argument;
    size_t bytes = size * count;
    const struct {
        struct slice name;
        char *to;
    } rows[] = {
        {{"Auth-Status", 11}, question->status},   {{"Auth-User", 9}, question->user},
        {{"Auth-Error-Code", 15}, question->code}, {{"Auth-Wait", 9}, question->wait},
        {{"Auth-Server", 11}, question->server},   {{"Auth-Port", 9}, question->port},
        {{"Auth-Pass", 9}, question->pass},
    };
    if (bytes > ANSWER_BYTES_MAX - question->received)
        return 0;
    question->received += bytes;
    struct slice line = slice_of(data, bytes);
    struct slice name = slice_first(line, slice_find(line, ':'));
    struct slice value = slice_from(line, name.size + 1);
    while (value.size > 0 && (value.data[0] == ' ' || value.data[0] == '\t'))
        value = slice_from(value, 1);
    while (value.size > 0 && (unsigned char)value.data[value.size - 1] <= ' ')
        value.size--;
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!slice_equal_nocase(name, rows[i].name))
            continue;
        if (value.size > VALUE_BYTES_MAX || slice_find(value, '\0') < value.size)
            return 0;
        if (value.size > 0)
            memcpy(rows[i].to, value.data, value.size);
        rows[i].to[value.size] = '\0';
    }
    return bytes;
}

/* ---------------------------------------------------------------- one transfer */

static struct question *question_make(void)
{
    return calloc(1, sizeof(struct question));
}

static void question_free(struct question *question)
{
    for (struct curl_slist *line = question->headers; line != NULL; line = line->next)
        explicit_bzero(line->data, strlen(line->data));
    curl_slist_free_all(question->headers);
    explicit_bzero(question, sizeof *question);
    free(question);
}

static void prepare(CURL *curl, const struct http *http, struct question *question)
{
    curl_easy_reset(curl); /* the connections stay */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "ringpost");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)http->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)http->timeout_ms);
    if (http->ca != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, http->ca);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, question->error);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, question);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, question);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, question->headers);
}

/* form NULL: GET. 0 with a 200, or -EAGAIN. */
static int transfer(struct http *http, const char *url, const char *form, struct question *question,
                    struct directory_record *record)
{
    long status = 0;
    char text[64];
    CURL *curl = pool_take(&http->handles);
    if (curl == NULL)
        curl = curl_easy_init();
    if (curl == NULL || question->failed) {
        if (curl != NULL)
            curl_easy_cleanup(curl);
        return record_fail(record, "HTTP: the question cannot be sent", NULL);
    }
    prepare(curl, http, question);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (form != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, form);
        if (http->client_id != NULL) {
            curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
            curl_easy_setopt(curl, CURLOPT_USERNAME, http->client_id);
            curl_easy_setopt(curl, CURLOPT_PASSWORD, http->password != NULL ? http->password : "");
        }
    }
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_reset(curl); /* it points into the question */
    if (code != CURLE_OK || !pool_give(&http->handles, curl))
        curl_easy_cleanup(curl);
    if (code == CURLE_WRITE_ERROR)
        return record_fail(record, "HTTP", "the answer is too long");
    if (code != CURLE_OK)
        return record_fail(record, "HTTP",
                           question->error[0] != '\0' ? question->error : curl_easy_strerror(code));
    snprintf(text, sizeof text, "the server answers with status %ld", status);
    return status == 200 ? 0 : record_fail(record, "HTTP", text);
}

/* ---------------------------------------------------------------- passwords */

static uint32_t wait_ms(const char *text)
{
    uint64_t seconds = 0;
    slice_number(slice_cstr(text), UINT32_MAX, &seconds);
    return (uint32_t)(seconds < DELAY_SECONDS_MAX ? seconds : DELAY_SECONDS_MAX) * 1000;
}

static int judge(const struct question *question, bool has_password,
                 struct directory_record *record)
{
    struct slice status = slice_cstr(question->status);
    int result = 0;
    if (status.size == 0)
        return record_fail(record, "HTTP", "no Auth-Status in the answer");
    if (!slice_equal(status, SLICE("OK"))) {
        if (question->code[0] == '4')
            return record_fail(record, "HTTP, Auth-Status", question->status);
        record->delay_ms = wait_ms(question->wait);
        return has_password ? -EACCES : -ENOENT;
    }
    if (question->user[0] != '\0')
        result = record_set(record, SLICE("user"), slice_cstr(question->user));
    const struct {
        struct slice key;
        const char *value;
    } attributes[] = {
        {{"host", 4}, question->server},
        {{"port", 4}, question->port},
        {{"user", 4}, question->user},
        {{"pass", 4}, question->pass},
    };
    for (unsigned i = 0; i < sizeof attributes / sizeof attributes[0] && result == 0; i++)
        if (attributes[i].value[0] != '\0')
            result = record_attribute(record, attributes[i].key, slice_cstr(attributes[i].value));
    record->is_verified = result == 0 && has_password;
    return result;
}

/* As nginx calls it. */
static const char *method_of(const struct directory_query *query)
{
    if (query->password.data != NULL)
        return "plain";
    bool is_external = query->client != NULL && query->mechanism != NULL &&
                       strcmp(query->mechanism, "EXTERNAL") == 0;
    return is_external ? "external" : "none";
}

static int http_ask(void *state, const struct directory_query *query,
                    struct directory_record *ret_record)
{
    struct http *http = state;
    struct asked asked;
    bool has_password = query->password.data != NULL;
    if (asked_of(query->user, &asked) < 0)
        return -ENOENT;
    if (http->url == NULL)
        return -ENOENT; /* for tokens only */
    struct question *question = question_make();
    if (question == NULL)
        return record_fail(ret_record, "out of memory", NULL);
    add_text(question, "Auth-Method", method_of(query));
    add_escaped(question, "Auth-User", query->user);
    if (has_password)
        add_escaped(question, "Auth-Pass", query->password);
    if (query->client != NULL)
        add_client(question, query->client);
    else
        add_text(question, "Auth-Protocol", "smtp");
    if (http->header != NULL) {
        snprintf(question->line, sizeof question->line, "%s", http->header);
        add_line(question);
    }
    int result = transfer(http, http->url, NULL, question, ret_record);
    if (result == 0)
        result = judge(question, has_password, ret_record);
    question_free(question);
    return result;
}

/* ---------------------------------------------------------------- tokens (RFC 7662) */

/* Section 2.2. */
static int judge_token(const struct http *http, const struct question *question,
                       struct directory_record *record)
{
    json_t *answer = json_loadb(question->body, question->body_size, JSON_REJECT_DUPLICATES, NULL);
    const json_t *active = json_object_get(answer, "active");
    int result;
    if (!json_is_boolean(active)) {
        result = record_fail(record, "HTTP, token", "the answer is no JSON object with \"active\"");
    } else if (!json_is_true(active)) {
        result = -EACCES;
    } else {
        const json_t *user = json_object_get(answer, http->user_claim);
        if (!json_is_string(user) || json_string_length(user) == 0)
            result =
                record_fail(record, "HTTP, token: the answer names no user in", http->user_claim);
        else
            result = record_set(record, SLICE("user"),
                                slice_of(json_string_value(user), json_string_length(user)));
        record->is_verified = result == 0;
    }
    json_decref(answer);
    return result;
}

/* token=...&token_type_hint=access_token; NULL: no memory. */
static char *form_of(struct slice token)
{
    static const char format[] = "token=%s&token_type_hint=access_token";
    char *escaped = curl_easy_escape(NULL, token.data, (int)token.size), *form = NULL;
    if (escaped == NULL)
        return NULL;
    size_t size = strlen(escaped);
    if ((form = malloc(sizeof format + size)) != NULL)
        snprintf(form, sizeof format + size, format, escaped);
    explicit_bzero(escaped, size);
    curl_free(escaped);
    return form;
}

static int http_ask_token(void *state, struct slice token, const struct auth_client *client,
                          struct directory_record *ret_record)
{
    struct http *http = state;
    (void)client;
    if (http->token_url == NULL)
        return record_fail(ret_record, "HTTP: no token_url", NULL);
    if (token.size == 0 || token.size > TOKEN_BYTES_MAX)
        return -EACCES;
    struct question *question = question_make();
    char *form = form_of(token);
    int result = -EAGAIN;
    if (question == NULL || form == NULL) {
        record_fail(ret_record, "out of memory", NULL);
    } else {
        add_text(question, "Accept", "application/json");
        result = transfer(http, http->token_url, form, question, ret_record);
        if (result == 0)
            result = judge_token(http, question, ret_record);
    }
    if (question != NULL)
        question_free(question);
    option_free_secret(form);
    return result;
}

/* ---------------------------------------------------------------- open, close */

static void http_close(void *state)
{
    struct http *http = state;
    CURL *curl;
    while ((curl = pool_take(&http->handles)) != NULL)
        curl_easy_cleanup(curl);
    option_free(http->url);
    option_free(http->token_url);
    option_free(http->ca);
    option_free_secret(http->header);
    option_free(http->client_id);
    option_free_secret(http->password);
    option_free(http->user_claim);
    free(http);
}

static const struct directory_kind kind = {.name = "http",
                                           .verifies = true,
                                           .ask = http_ask,
                                           .ask_token = http_ask_token,
                                           .close = http_close};

static bool is_url(const char *url)
{
    return url == NULL || strncasecmp(url, "http://", 7) == 0 ||
           strncasecmp(url, "https://", 8) == 0;
}

static int look_at(const struct http *http, char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    if (http->url == NULL && http->token_url == NULL)
        return option_problem(problem, "neither a url nor a url for tokens is given", NULL);
    if (!is_url(http->url) || !is_url(http->token_url))
        return option_problem(problem, "a url must begin with http:// or https://", NULL);
    if (http->header != NULL && (strlen(http->header) > 1024 || strchr(http->header, ':') == NULL ||
                                 strpbrk(http->header, "\r\n") != NULL))
        return option_problem(problem, "write the header as one line, \"Name: value\"", NULL);
    return 0;
}

int directory_open_http(const struct directory_http_options *options,
                        struct auth_directory *ret_directory,
                        char problem[DIRECTORY_PROBLEM_BYTES_MAX + 1])
{
    uint64_t identity = 4;
    const char *claim = options->user_claim != NULL ? options->user_claim : "username";
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) /* counts; before the helpers use it */
        return -ENOMEM;
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return -ENOMEM;
    int result = option_timeout(options->timeout_ms, &http->timeout_ms, problem);
    if (result == 0 && (!option_copy(options->url, &identity, &http->url) ||
                        !option_copy(options->token_url, &identity, &http->token_url) ||
                        !option_copy(options->ca, &identity, &http->ca) ||
                        !option_copy(options->header, &identity, &http->header) ||
                        !option_copy(options->client_id, &identity, &http->client_id) ||
                        !option_copy(options->password, &identity, &http->password) ||
                        !option_copy(claim, &identity, &http->user_claim)))
        result = -ENOMEM;
    if (result == 0)
        result = look_at(http, problem);
    if (result < 0) {
        http_close(http);
        return result;
    }
    *ret_directory = (struct auth_directory){.kind = &kind, .state = http, .identity = identity};
    return 0;
}
