/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What all pages are put together from. The policy in a page's head allows its own script by hash,
 * and nothing else: should a word of a server ever get through unescaped, it does not run and
 * fetches nothing.
 */
#include "page_parts.h"

#include <math.h>

enum { PART_ROWS_MAX = 200 };

void page_begin(struct text *out, struct slice title)
{
    text_put(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                  "style-src 'unsafe-inline'; img-src data:; script-src '");
    text_put(out, page_script_hash);
    text_put(out, "'; base-uri 'none'; form-action 'none'\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                  "<meta name=\"color-scheme\" content=\"light dark\">\n"
                  "<link rel=\"icon\" href=\"data:,\">\n<title>");
    text_html(out, title, TEXT_SHORT);
    text_put(out, "</title>\n<style>\n");
    text_put(out, page_style);
    text_put(out, "</style>\n</head>\n<body>\n<main>\n");
}

void page_end(struct text *out, const json_t *input)
{
    text_put(out, "<footer>");
    if (input != NULL) {
        text_html(out, member_string(input, "tool"), TEXT_SHORT);
        text_put(out, " ");
        text_html(out, member_string(input, "version"), TEXT_SHORT);
        text_put(out, " \xc2\xb7 ");
    }
    text_put(out,
             "Latencies count from when an operation was meant to begin. This page is one file; "
             "it fetches nothing.</footer>\n</main>\n<script>");
    text_put(out, page_script);
    text_put(out, "</script>\n</body>\n</html>\n");
}

void notice_begin(struct text *out, const char *kind)
{
    text_format(out, "<p class=\"notice %s\" role=\"note\">", kind);
}

void notice_end(struct text *out)
{
    text_put(out, "</p>\n");
}

void section_begin(struct text *out, const char *id, const char *title)
{
    text_format(out, "<section aria-labelledby=\"%s\"><h2 id=\"%s\">%s</h2>\n", id, id, title);
}

void section_end(struct text *out)
{
    text_put(out, "</section>\n");
}

void figure_begin(struct text *out, const char *name)
{
    text_format(out, "<div><dt>%s</dt><dd>", name);
}

void figure_end(struct text *out, const char *below)
{
    text_format(out, "</dd><dd class=\"below\">%s</dd></div>\n", below);
}

void figure_value(struct text *out, const char *name, enum unit unit, double value,
                  const char *below)
{
    figure_begin(out, name);
    text_value(out, unit, value);
    figure_end(out, below);
}

void table_begin(struct text *out, const char *classes, const char *caption)
{
    text_format(out,
                "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">"
                "<table class=\"%s\"><caption>%s</caption>\n",
                caption, classes, caption);
}

void table_end(struct text *out)
{
    text_put(out, "</table></div>\n");
}

void cell_number(struct text *out, enum unit unit, double value)
{
    if (isfinite(value))
        text_format(out, "<td class=\"n\" data-sort=\"%.9g\">", value);
    else
        text_put(out, "<td class=\"n\">");
    text_value(out, unit, value);
    text_put(out, "</td>");
}

void cell_words(struct text *out, struct slice words)
{
    text_put(out, "<td>");
    text_html(out, words, TEXT_LINE);
    text_put(out, "</td>");
}

void pair_value(struct text *out, const char *name, enum unit unit, double value)
{
    if (!isfinite(value))
        return;
    text_format(out, "<tr><th scope=\"row\">%s</th>", name);
    cell_number(out, unit, value);
    text_put(out, "</tr>\n");
}

void pair_words(struct text *out, const char *name, struct slice words)
{
    if (words.size == 0)
        return;
    text_format(out, "<tr><th scope=\"row\">%s</th>", name);
    cell_words(out, words);
    text_put(out, "</tr>\n");
}

void pair_json(struct text *out, struct slice name, const json_t *value)
{
    text_put(out, "<tr><th scope=\"row\">");
    text_html(out, name, TEXT_SHORT);
    text_put(out, "</th><td>");
    text_json(out, value, true);
    text_put(out, "</td></tr>\n");
}

void part_machine(struct text *out, const json_t *machine)
{
    pair_words(out, "CPU", member_string(machine, "cpu"));
    pair_value(out, "CPUs", UNIT_COUNT, member_number(machine, "cpus"));
    pair_value(out, "Memory", UNIT_BYTES, member_number(machine, "memory_bytes"));
    pair_words(out, "Kernel", member_string(machine, "kernel"));
}

/* A word that a shell would take apart stands in quotes. */
static void put_shell_word(struct text *out, struct slice word)
{
    bool is_plain = word.size > 0;
    for (size_t i = 0; i < word.size && is_plain; i++)
        is_plain = word.data[i] != '\0' &&
                   strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                          "-_./:=,@%+",
                          word.data[i]) != NULL;
    if (is_plain) {
        text_html(out, word, TEXT_LINE);
        return;
    }
    text_put(out, "&#39;");
    while (word.size > 0) {
        size_t quote = slice_find(word, '\'');
        text_html(out, slice_first(word, quote), TEXT_LINE);
        if (quote < word.size)
            text_put(out, "&#39;\\&#39;&#39;");
        word = slice_from(word, quote + 1);
    }
    text_put(out, "&#39;");
}

void part_command(struct text *out, const json_t *command)
{
    text_put(out, "<pre class=\"command\"><code>");
    size_t count = json_array_size(command);
    for (size_t i = 0; i < count && i < PART_ROWS_MAX; i++) {
        text_put(out, i ? " " : "");
        put_shell_word(out, json_words(json_array_get(command, i)));
    }
    if (count > PART_ROWS_MAX)
        text_put(out, " \xe2\x80\xa6");
    if (count == 0)
        text_put(out, "not known");
    text_put(out, "</code></pre>\n");
}

void part_partial(struct text *out, const json_t *input)
{
    if (json_is_true(member(input, "complete")))
        return;
    notice_begin(out, "bad");
    text_put(out, "<strong>PARTIAL</strong> ");
    struct slice why = member_string(input, "why");
    text_html(out, why.size > 0 ? why : SLICE("it does not say why"), TEXT_LINE);
    text_put(out, ". What follows is what was measured until then.");
    notice_end(out);
}
