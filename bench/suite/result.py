# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run of the suite was: suite.json (docs/bench-json.md), and the same as text."""
import json
import os
import statistics


def machine():
    """The same members as ringpost-bench's."""
    cpu = 'unknown'
    with open('/proc/cpuinfo', encoding='utf-8') as file:
        for line in file:
            if line.startswith('model name'):
                cpu = line.split(':', 1)[1].strip()
                break
    return {'cpu': cpu, 'cpus': os.cpu_count(),
            'kernel': f'{os.uname().sysname} {os.uname().release}',
            'memory_bytes': os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')}


def middle(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def spread(values):
    return {'median': statistics.median(values), 'low': min(values), 'high': max(values)} \
        if values else None


def row_entry(row, samples, why, ceilings):
    """The row's entry; samples: {server: [Sample, ...]}, in pairs as far as they go."""
    names = row.names
    ours = [sample.value for sample in samples.get(names[0], [])]
    servers = {}
    for name in names:
        got = samples.get(name, [])
        values = [sample.value for sample in got]
        ratio = None
        if name != names[0]:
            ratio = spread([mine / other for mine, other in zip(ours, values) if other > 0])
        servers[name] = {
            'server': name, 'values': values, 'median': middle(values),
            'rate': middle(sample.rate for sample in got),
            'p99_us': middle(sample.p99_us for sample in got),
            'generator_us': middle(sample.generator_us for sample in got),
            'ratio': ratio, 'why': why.get(name)}
    target = row.target.here(ceilings) if row.target else None
    entry = {'name': row.name, 'what': row.what, 'operation': row.operation, 'unit': row.unit,
             'metric': row.metric, 'better': 'lower',
             'target': target.text if target else None,
             'met': target.is_met(list(servers.values())) if target else None,
             'ceiling': None, 'servers': list(servers.values())}
    known = ceilings.get(row.ceiling[0]) if row.ceiling else None
    if known and known['value'] and servers[names[0]]['median']:
        entry['ceiling'] = {'name': row.ceiling[0], 'times': row.ceiling[1],
                            'fraction': row.ceiling[1] * known['value'] /
                            servers[names[0]]['median']}
    return entry


def write(path, suite):
    with open(path + '.part', 'w', encoding='utf-8') as file:
        json.dump(suite, file, indent=1)
        file.write('\n')
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + '.part', path)


# --- as text

def amount(value, unit):
    if value is None:
        return '-'
    if unit == 'us' and value >= 10000:
        return f'{value / 1000:,.1f} ms'
    if unit == 's':
        return f'{value:.2f} s'
    return f'{value:,.0f} {unit}' if value >= 100 else f'{value:.1f} {unit}'


def factor(ratio):
    if ratio is None:
        return '-'
    digits = 3 if ratio['median'] < 0.1 else 2
    return (f'{ratio["median"]:.{digits}f} '
            f'[{ratio["low"]:.{digits}f}-{ratio["high"]:.{digits}f}]')


def verdict(entry):
    if entry['target'] is None:
        return ''
    if entry['met'] is None:
        measured = entry['series'] if 'series' in entry else entry['servers'][0]['values']
        return 'within the spread' if measured else 'not measured'
    return 'met' if entry['met'] else 'NOT MET'


def peers_of(entry):
    """One text a peer: its figure and the ratio, or why there is none."""
    for server in entry['servers'][1:]:
        if server['median'] is None:
            yield f'{server["server"]}: {server["why"] or "not measured"}'
        else:
            yield (f'{server["server"]} {amount(server["median"], entry["unit"])}, ratio '
                   f'{factor(server["ratio"])}')


def row_text(entry):
    """A row as lines for a terminal."""
    ours = entry['servers'][0]
    figure = amount(ours['median'], entry['unit'])
    if ours['median'] is None:
        figure = ours['why'] or 'not measured'
    rate = f', {ours["rate"]:,.0f}/s' if ours['rate'] else ''
    ceiling = f'; {entry["ceiling"]["fraction"]:.0%} of {entry["ceiling"]["name"]}' \
        if entry['ceiling'] else ''
    target = f'; target {entry["target"]}: {verdict(entry)}' if entry['target'] else ''
    lines = [f'{entry["name"]:15} {ours["server"]} {figure}{rate}{ceiling}{target} '
             f'({entry["seconds"]:.0f} s)']
    lines += [f'{"":15}   {text}' for text in peers_of(entry)]
    return '\n'.join(lines)


def sweep_text(entry):
    lines = [f'{entry["name"]:15} {entry["y"]} by {entry["x"]}' +
             (f'; target {entry["target"]}: {verdict(entry)}' if entry['target'] else '') +
             f' ({entry["seconds"]:.0f} s)']
    for one in entry['series']:
        points = '  '.join(f'{point["x"]:,}: {point["y"]:,.1f}' for point in one['points'])
        lines.append(f'{"":15}   {one["server"]}: {points}')
    lines += [f'{"":15}   {problem}' for problem in entry['problems']]
    return '\n'.join(lines)


def markdown(suite):
    """The tables for the README."""
    place = suite['machine']
    lines = [f'{place["cpus"]} CPUs ({place["cpu"]}), {place["kernel"]}; ' +
             ', '.join(f'{name} {version}' for name, version in suite['versions'].items()) +
             f'; {suite["started"]}', '']
    if not suite['complete']:
        lines += [f'PARTIAL: {suite["why"]}', '']
    lines += ['| row | figure | peers: ratio | target | of the ceiling |', '|---|---|---|---|---|']
    for entry in suite['rows']:
        ours = entry['servers'][0]
        figure = amount(ours['median'], entry['unit']) if ours['median'] is not None else \
            ours['why'] or 'not measured'
        ceiling = f'{entry["ceiling"]["fraction"]:.0%} of {entry["ceiling"]["name"]}' \
            if entry['ceiling'] else ''
        target = f'{entry["target"]}: {verdict(entry)}' if entry['target'] else ''
        cells = [f'{entry["name"]}: {entry["what"]} ({entry["metric"]})', figure,
                 '<br>'.join(peers_of(entry)), target, ceiling]
        lines.append('| ' + ' | '.join(cell.replace('|', '/').replace('\n', ' ')
                                       for cell in cells) + ' |')
    for entry in suite['sweeps']:
        xs = sorted({point['x'] for one in entry['series'] for point in one['points']})
        if not xs:
            continue
        lines += ['', f'{entry["what"]}, {entry["y"]}' +
                  (f' (target: {entry["target"]}: {verdict(entry)})' if entry['target'] else ''),
                  '', f'| {entry["x"]} | ' + ' | '.join(f'{x:,}' for x in xs) + ' |',
                  '|---' * (len(xs) + 1) + '|']
        for one in entry['series']:
            at = {point['x']: point for point in one['points']}
            cells = [f'{at[x]["y"]:,.1f} [{at[x]["low"]:,.1f}-{at[x]["high"]:,.1f}]' if x in at
                     else '' for x in xs]
            lines.append(f'| {one["server"]} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'
