/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What listeners and TLS must be together (rows C07, C08): an address, one way of being reached, a
 * certificate where there is TLS, no passwords in clear by accident, no trust in everyone.
 */
#include "config.h"

static void check_tls(struct config *config)
{
    const struct config_tls *tls = &config->tls;
    if ((tls->client_ca == NULL) != (tls->client_certificate == CONFIG_CLIENT_OFF))
        config_problem(config, tls->place,
                       tls->client_ca == NULL
                           ? "tls.client_certificate without client_ca: no certificate could be "
                             "checked; add client_ca = \"...\""
                           : "tls.client_ca without client_certificate: nobody is asked; add "
                             "client_certificate = \"ask\"");
}

static bool check_place_of_listener(struct config *config, const struct config_listener *listener)
{
    struct config_place place = listener->place;
    unsigned before = config->problem_count;
    if ((listener->address == NULL) == (listener->path == NULL))
        config_problem(config, place,
                       "a listener has either address and port, or path; give one of them");
    else if (listener->address != NULL && listener->port == CONFIG_UNSET)
        config_problem(config, place, "address without port; add port = ...");
    else if (listener->path != NULL && listener->port != CONFIG_UNSET)
        config_problem(config, place, "path with port; a Unix socket has no port, remove it");
    else if (listener->address != NULL && !config_is_numeric(listener->address))
        config_problem(config, place,
                       "address = \"%.60s\" is no numeric address; such as \"127.0.0.1\" or \"::\"",
                       listener->address);
    return config->problem_count == before;
}

bool config_has_login(const struct config_listener *listener)
{
    return listener->protocol == CONFIG_POP3 || listener->protocol == CONFIG_IMAP ||
           listener->protocol == CONFIG_SUBMISSION || listener->protocol == CONFIG_SIEVE;
}

static bool check_tls_of_listener(struct config *config, struct config_listener *listener)
{
    bool has_certificates = config->tls.certificates.count > 0;
    unsigned before = config->problem_count;
    if (listener->tls == CONFIG_UNSET)
        listener->tls = has_certificates && listener->protocol != CONFIG_LMTP ? CONFIG_TLS_START
                                                                              : CONFIG_TLS_NONE;
    if (listener->tls != CONFIG_TLS_NONE && listener->protocol == CONFIG_LMTP)
        config_problem(config, listener->place, "lmtp has no TLS; remove tls here");
    else if (listener->tls == CONFIG_TLS_IMPLICIT && listener->protocol == CONFIG_SIEVE)
        config_problem(config, listener->place,
                       "sieve has STARTTLS only (RFC 5804); tls = \"start\"");
    else if (listener->tls != CONFIG_TLS_NONE && !has_certificates)
        config_problem(config, listener->place,
                       "tls without a certificate; add tls: { certificates = ( { certificate = "
                       "\"...\"; key = \"...\"; } ); };");
    return config->problem_count == before;
}

/* C08: whoever can log in there does so under TLS, or the config says loudly that it is not so. */
static bool check_login_of_listener(struct config *config, const struct config_listener *listener)
{
    bool is_local = listener->address == NULL || config_is_loopback(listener->address);
    const char *where = listener->address == NULL ? listener->path : listener->address;
    bool is_clear = listener->tls == CONFIG_TLS_NONE;
    unsigned before = config->problem_count;
    if (listener->plain_login && !config_has_login(listener))
        config_problem(
            config, listener->place,
            "plain_login concerns pop3, imap, submission and sieve only; remove it here");
    else if (listener->plain_login && listener->tls == CONFIG_TLS_IMPLICIT)
        config_problem(config, listener->place,
                       "plain_login where everything is under TLS; remove it here");
    else if (listener->plain_login && !is_local && !listener->insecure_plain_login)
        config_problem(config, listener->place,
                       "plain_login on %.60s lets passwords be read on the way; listen on a "
                       "loopback address, or add insecure_plain_login_over_the_network = true",
                       where);
    else if (config_has_login(listener) && is_clear && !listener->plain_login)
        config_problem(
            config, listener->place,
            "nobody can log in on %.60s without TLS; add tls = \"start\" or \"implicit\" "
            "(and certificates), or %s",
            where,
            is_local ? "plain_login = true"
                     : "plain_login = true and insecure_plain_login_over_the_network = "
                       "true");
    else if (listener->insecure_plain_login && !listener->plain_login)
        config_problem(config, listener->place,
                       "insecure_plain_login_over_the_network without plain_login; remove it");
    return config->problem_count == before;
}

static bool holds_everyone(const struct network_set *set)
{
    for (unsigned i = 0; i < set->count; i++)
        if (set->networks[i].bits == 0)
            return true;
    return false;
}

/* Who is believed about a client's address can be anybody to all limits and penalties. */
static void check_trust_of_listener(struct config *config, const struct config_listener *listener)
{
    bool is_smtp = listener->protocol == CONFIG_SMTP || listener->protocol == CONFIG_SUBMISSION;
    if (holds_everyone(&listener->proxy_from) || holds_everyone(&listener->xclient_from))
        config_problem(
            config, listener->place,
            "proxy_protocol or xclient for everyone: then anybody can claim any address; "
            "name your own proxies");
    if (listener->xclient_from.count > 0 && !is_smtp)
        config_problem(config, listener->place,
                       "xclient concerns smtp and submission only; remove it here");
    if (listener->path != NULL && (listener->proxy_from.count | listener->xclient_from.count) != 0)
        config_problem(config, listener->place,
                       "proxy_protocol and xclient are for TCP; a Unix socket has no address");
}

/* "::" takes IPv4 too. */
bool config_same_address(const char *a, uint64_t port, const struct config_listener *b)
{
    return b->address != NULL && b->port == port &&
           (strcmp(a, b->address) == 0 ||
            (strcmp(a, "::") == 0 && strcmp(b->address, "0.0.0.0") == 0) ||
            (strcmp(a, "0.0.0.0") == 0 && strcmp(b->address, "::") == 0));
}

void config_check_listeners(struct config *config)
{
    struct config_listener *all = config->listeners.items;
    check_tls(config);
    if (config->listeners.count == 0)
        config_problem(config, config->general.place,
                       "no listeners; add listeners = ( { protocol = \"smtp\"; address = "
                       "\"0.0.0.0\"; port = 25; } );");
    for (unsigned i = 0; i < config->listeners.count; i++) {
        if (check_place_of_listener(config, &all[i]) && check_tls_of_listener(config, &all[i]) &&
            check_login_of_listener(config, &all[i]))
            check_trust_of_listener(config, &all[i]);
        bool taken = false;
        for (unsigned j = 0; j < i; j++)
            taken = taken ||
                    (all[i].address != NULL &&
                     config_same_address(all[i].address, all[i].port, &all[j])) ||
                    (all[i].path != NULL && all[j].path != NULL &&
                     strcmp(all[i].path, all[j].path) == 0);
        if (taken)
            config_problem(config, all[i].place,
                           "the same address as another listener; choose another port or path");
    }
}
