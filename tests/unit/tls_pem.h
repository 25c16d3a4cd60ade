/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Certificates and keys for tests of TLS that certificate_make cannot make: weak ones, and a
 * client's with its authority. Valid from 2020 to 2098; all their keys are in the open.
 */
#ifndef RINGPOST_TESTS_TLS_PEM_H
#define RINGPOST_TESTS_TLS_PEM_H

static const char pem_weak_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIB4DCCAUmgAwIBAgICEAAwDQYJKoZIhvcNAQELBQAwDzENMAsGA1UEAwwEd2Vh\n"
    "azAgFw0yMDAxMDEwMDAwMDBaGA8yMDk5MDEwMTAwMDAwMFowDzENMAsGA1UEAwwE\n"
    "d2VhazCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEA6v3XqnBTVpVuG+mT5hQH\n"
    "R/FE/RYPWfKq39ItPPvCTRCZcarFfjGzw4fwpBbGiVoOj8U1rPDq9Ug1IOJ9Y5ON\n"
    "uDTAdsPyxMrffq9QSmGPkbqb00JpcWjRJ11qLjdDjUodjFnBWTRIqSSe5399ke8M\n"
    "28blAnFWQQAgMPBaXGjHtBcCAwEAAaNJMEcwCQYDVR0TBAIwADAbBgNVHREEFDAS\n"
    "ghBob3N0LmV4YW1wbGUub3JnMB0GA1UdDgQWBBRKCd3K+F+3qWKsKl20cgL5fQki\n"
    "szANBgkqhkiG9w0BAQsFAAOBgQB6LVd6XRhKpIYaCjvp3Jf5mINcQTB3RMYHv2fD\n"
    "KNgwqWR/gZjnnR6ueh3v8xt9EWXoxMDzwc2XnkkCZCHUrHQAO99CDlJDzfNJmuzq\n"
    "r6VpXgaUjY7wbXE0qERy6Lc2zErMiHyat/jV+uGjJwA7pzLtDM9K13Aj1nFxuuCL\n"
    "ZbnbMw==\n"
    "-----END CERTIFICATE-----\n";

static const char pem_weak_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIICdwIBADANBgkqhkiG9w0BAQEFAASCAmEwggJdAgEAAoGBAOr916pwU1aVbhvp\n"
    "k+YUB0fxRP0WD1nyqt/SLTz7wk0QmXGqxX4xs8OH8KQWxolaDo/FNazw6vVINSDi\n"
    "fWOTjbg0wHbD8sTK336vUEphj5G6m9NCaXFo0Sddai43Q41KHYxZwVk0SKkknud/\n"
    "fZHvDNvG5QJxVkEAIDDwWlxox7QXAgMBAAECgYEA542OL9JTLGQ+hZ6aMALYUdm6\n"
    "QzCzm8x09+ugzBDAGzQaH1lJFdpf6nJPe0E+DSYCZ0TKaUlUHLI0N9019SL2ZwOk\n"
    "4DOH4kDAl/yRYsLpNciklfuhpyRYFSpSqrOZFurd2QduUZRWhog6MARu0ayLeZkd\n"
    "RTp/yTTNZkahzc0SWdECQQD1oq+5rOJxxzoK78vqhlsHpoqusmrwllIaGLZ6vuOp\n"
    "uPmjIXOIK2eHldvrK4udi0fAB4TK8mfxS4/LetpaB/PlAkEA9OguoYXNw21WPxga\n"
    "O6cEiWNZ2B1aoSzVXUrV5JriRGWKcGGv3BSmifb1p6eKOcOU4XiwFVoSxjpUppbZ\n"
    "ufJASwJBAI9a6wOKCn4sr4tCd9ffobDNWZKrPg47LJ9eXOE2FtguxEKYezy1WC6h\n"
    "H0AYodrINo+z06Q95LvGRZ2TjWuNyKECQE8zTvE5XkOW9k9NMh6ccqEjmgiD5a09\n"
    "3HphGy7kz8uistSJIuAfZYQ0c1kWm2L21wzbhMZC7NNiRcHiAuNZbmUCQAFJMT/i\n"
    "xZyfv1h10ZHL0H3vYYpdwUE8EqozTGNabPdNNSXizGh790tYWgJAgVaSmZWsNCpU\n"
    "sQg87CCQzmlzmNk=\n"
    "-----END PRIVATE KEY-----\n";

static const char pem_sha1_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIC5TCCAc2gAwIBAgICEAEwDQYJKoZIhvcNAQEFBQAwDzENMAsGA1UEAwwEc2hh\n"
    "MTAgFw0yMDAxMDEwMDAwMDBaGA8yMDk5MDEwMTAwMDAwMFowDzENMAsGA1UEAwwE\n"
    "c2hhMTCCASIwDQYJKoZIhvcNAQEBBQADggEPADCCAQoCggEBAKnOVgb8tXEjh7gz\n"
    "ZXu01pvGty4E5xhSpILWsVWPhAkQ8LV3NJpTF1QXCDSrU7ynLKUVxLjFRmkJR69A\n"
    "gVDTJtxqXRaIyVnqoB28AwOPisYWS/OSQ3l/YICVzByGkRJEiBCB3r0d1P7upVgi\n"
    "a7lZNOwjrarTpXQMt7y8ABwdRu++kjrQBeMcsGmVjxp7FUdO7A4kEcTxhJqZ1shy\n"
    "lPwl/joVQBm9blEp0W/RgjyEcIp8czTNyN6Z+3hB5eUePy6stjpEjQph7rkHR10e\n"
    "bUVPTqI6wfLY3Q53o24d2M86KsQbwMrIUIVJEj1Ve8Y/cagOqJyx2NZ6ksCoXY0h\n"
    "Ks+dTzECAwEAAaNJMEcwCQYDVR0TBAIwADAbBgNVHREEFDASghBob3N0LmV4YW1w\n"
    "bGUub3JnMB0GA1UdDgQWBBQcgDjp3d0ehnXj9IQwBSe7kDhfJDANBgkqhkiG9w0B\n"
    "AQUFAAOCAQEAlp2rbg9vJM2WqOdYxxWmCcR5Almq08pVIXseP7Op2GLJHVcTaK38\n"
    "M/Xk4HyUaR8+dltDiUrlEuY/vWzhOGJKwY7LN/8LfDcYTvm2uJF99fZGFvVAsXHo\n"
    "n77f73SwzHtjci+fldhWeOclT63NBd18MU/sGYr1y9z4vcV8i8majoEpqm7tbUFE\n"
    "s3WBfbbFVLXYWZynjQ2mswdvTqJuNzeq7Q+7fwYMjbZpwTyFh5f9IZAIkVXYVlxR\n"
    "y4ryfLhFYOMs6U1mrJzccYYrnOveXlD3B/Ss3GNvD7EKT6WKKQdHpepcKhN/3Nwn\n"
    "8LHC7FGjwsrkTQtFuAMAFynoUUNl+fOBfw==\n"
    "-----END CERTIFICATE-----\n";

static const char pem_sha1_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQCpzlYG/LVxI4e4\n"
    "M2V7tNabxrcuBOcYUqSC1rFVj4QJEPC1dzSaUxdUFwg0q1O8pyylFcS4xUZpCUev\n"
    "QIFQ0ybcal0WiMlZ6qAdvAMDj4rGFkvzkkN5f2CAlcwchpESRIgQgd69HdT+7qVY\n"
    "Imu5WTTsI62q06V0DLe8vAAcHUbvvpI60AXjHLBplY8aexVHTuwOJBHE8YSamdbI\n"
    "cpT8Jf46FUAZvW5RKdFv0YI8hHCKfHM0zcjemft4QeXlHj8urLY6RI0KYe65B0dd\n"
    "Hm1FT06iOsHy2N0Od6NuHdjPOirEG8DKyFCFSRI9VXvGP3GoDqicsdjWepLAqF2N\n"
    "ISrPnU8xAgMBAAECggEADKZCZNYFpdu7JBxEt/+GSYehr46DG53+biu+/UwfY8ss\n"
    "r0v7HHBKVC6SDdW3Jh4rASebERZLEuSI1UlAHjdYlVdhagi/EnvGuT2qA3rO4Eea\n"
    "xAE2QGezgT4HfOwuWZbG2bn0T+YYGZ9JVxnbU1ejTbWxCIEojw7/z1IO97PboVzT\n"
    "m9z2pPY4r/mhwzsVm7BXfCFHnA/TgJKeMtH/0jZ1vJP9lIqsha9aOEoUKlROpWa+\n"
    "seMbOqcaapOtgLSpXbPTXsNmNtn/w1XafBT+2SAPG/ycNh8Ya0wL18tYUSWeTiyp\n"
    "IHNMq5geZvtnRxIsf0sXX5dKhuZgR/CNcr2XjH3DVQKBgQDpSB7PCz8GOgp0sCAf\n"
    "LCyblUZc9oQSU7rPE3CaYlonOgxdhO+5T4+ZrNXa77oc02OZi5WGDDJ576SPkhqx\n"
    "UhMLr7sChUgDzbPg56d+gHpbR1hW6qUhi9lI5YyIv1w9pZ50lMZCXKlDcmcdjkfu\n"
    "oeHJOvu4Y+pHLcodwUFkGcbkFQKBgQC6V7iBxBdYk0UUPm4ga8937YTwulbDohmr\n"
    "rf0DCUv3j7C/j4ZTCAzJwVm+o5rgpSyADHL0D8SyA9XzlD/iEsZUYzIXUQ0Syvma\n"
    "aw6UJux9uEM4BVmchpwk2v80kXDyrNW3Xj5wQXbMU8dxK+MaBYCH5iqeBfI94ULL\n"
    "KFbzElq5rQKBgGMrOY2ipkQrYE6CoOUfjkcFikfys+pmlb958CBxNwn970vCO3Z3\n"
    "kAAwLSlJR8EBTBH1+LZncP3NFhPCdH50+Yu6RLGpnxee1p0BXX61d05eYftw/Inq\n"
    "PZBzpO5tCvVZ9qZwqGeFpJ77f0JdPc8AGk/FN0UHlIx1tro3cWjwXFCRAoGAMqr/\n"
    "hGlpX7BLrEF9eFtYQmfXKg3A4dkF2eSpU1YHzfzINo40HAeoUoO8f1XFGyhOfVLl\n"
    "Pu+6sBzS5DR/Wl14iCGg0S48u8ttK0vI3wfmbhjYTjdGMoV3l53knsqdR58vTXjW\n"
    "yXdDcjOlm2QvkDfGxy0SkX1UbPb/TnZdjiKDgNECgYB1cOMLyh/otapBNY8zv5tC\n"
    "xXJxOYilSF1q8Qhu3a3SgtQ0CXtQN3/3L/+3QQSOL6qF6g6glczSrPuyp5c/6dHO\n"
    "lfQzKK0JYrAwsZi3g3kZ2GUTJKeAdYaXp5hCci/RCqGFLmG7+jbi2HtcjQlikGz1\n"
    "0OSPe0yvQRxx40s1z/ln6g==\n"
    "-----END PRIVATE KEY-----\n";

static const char pem_none_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBPjCB5qADAgECAgIQAjAKBggqhkjOPQQDAjARMQ8wDQYDVQQKDAZOb2JvZHkw\n"
    "IBcNMjAwMTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMBExDzANBgNVBAoMBk5v\n"
    "Ym9keTBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABDyN0Xkc8cQUdVfvmUIgIQOZ\n"
    "srWY767tYF0DAxeoAKIs1uge0Dlu8D96x2mWzwaIc8spoqzHWHZxB/xRszWojqOj\n"
    "LDAqMAkGA1UdEwQCMAAwHQYDVR0OBBYEFKaOq5csIbSAcCbXefP+ItE13iN2MAoG\n"
    "CCqGSM49BAMCA0cAMEQCIFBySPpLI94D6F9YgS3Zo4HIzxAlDEIYw5L+LYYNQwSL\n"
    "AiB/7qAjcc+0AteerEoinRpRSKPRwh+QH7cclE2MVzfIow==\n"
    "-----END CERTIFICATE-----\n";

static const char pem_none_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgBE/t+s/1QEp3liN+\n"
    "A0oWcZyokDnYEiV+qLIZWVBN8OmhRANCAAQ8jdF5HPHEFHVX75lCICEDmbK1mO+u\n"
    "7WBdAwMXqACiLNboHtA5bvA/esdpls8GiHPLKaKsx1h2cQf8UbM1qI6j\n"
    "-----END PRIVATE KEY-----\n";

static const char pem_ca_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBXzCCAQWgAwIBAgICEAMwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMVGVzdCBD\n"
    "bGllbnRzMCAXDTIwMDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAwMDAwWjAXMRUwEwYD\n"
    "VQQDDAxUZXN0IENsaWVudHMwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQ6BEPV\n"
    "kBJiUyn9beEcy1A578oKgR3L4vNvT9Q1Yzc3BhLGpo/bySD5PL3EkbEJHqpGPxFV\n"
    "z6exevYk3kw+V3ZVoz8wPTAPBgNVHRMBAf8EBTADAQH/MAsGA1UdDwQEAwICBDAd\n"
    "BgNVHQ4EFgQUiryDkYz8gzLYysjd51ShTkAmmS4wCgYIKoZIzj0EAwIDSAAwRQIg\n"
    "eVAbmapcM1JLSZ2WUEZ6X1nofm605q5rlavULr5LpkwCIQCJ9zPTzxposAorxyvH\n"
    "bapHlg92ulDZKolp7i0brHQbug==\n"
    "-----END CERTIFICATE-----\n";

static const char pem_client_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBijCCATCgAwIBAgICEAQwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMVGVzdCBD\n"
    "bGllbnRzMCAXDTIwMDEwMTAwMDAwMFoYDzIwOTkwMTAxMDAwMDAwWjAXMRUwEwYD\n"
    "VQQDDAxBbm5hIEV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQlmrJN\n"
    "WsnmzbuIAOt69tFSXWAsFxiq4qhltJs00c8OKYFD6Np7EdRa13vlUokQLRQZ28n2\n"
    "2NEvePZLdC762jw+o2owaDAbBgNVHREEFDASgRBhbm5hQGV4YW1wbGUub3JnMAkG\n"
    "A1UdEwQCMAAwHQYDVR0OBBYEFEmmySBgNdLal5gNqUnejWkeRE6SMB8GA1UdIwQY\n"
    "MBaAFIq8g5GM/IMy2MrI3edUoU5AJpkuMAoGCCqGSM49BAMCA0gAMEUCIQCru625\n"
    "EfHPU0Ou4fOtaR/VdJ2aLdkOOyp3EV4pj5+VJgIgW1CcVpC4SoY8EB/Wc/5jKmhC\n"
    "A8FT+hzlUsJ0UdJHNE4=\n"
    "-----END CERTIFICATE-----\n";

static const char pem_client_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQga+19rOgindVPJz8G\n"
    "bG+d+il4DnpNNQGeUYebqAo+m1OhRANCAAQlmrJNWsnmzbuIAOt69tFSXWAsFxiq\n"
    "4qhltJs00c8OKYFD6Np7EdRa13vlUokQLRQZ28n22NEvePZLdC762jw+\n"
    "-----END PRIVATE KEY-----\n";

static const char pem_stranger_certificate[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBYTCCAQegAwIBAgICEAUwCgYIKoZIzj0EAwIwEzERMA8GA1UEAwwIU3RyYW5n\n"
    "ZXIwIBcNMjAwMTAxMDAwMDAwWhgPMjA5OTAxMDEwMDAwMDBaMBMxETAPBgNVBAMM\n"
    "CFN0cmFuZ2VyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2l5oNLRA4HpN+ztX\n"
    "sMr2hZhEVyG1ygP//F9cOkuWy12lOO3Z8UQxBjAsFeLtsoMrjTdIJjmbjaYRY7zS\n"
    "dHgam6NJMEcwGwYDVR0RBBQwEoEQYW5uYUBleGFtcGxlLm9yZzAJBgNVHRMEAjAA\n"
    "MB0GA1UdDgQWBBT/DG0zTzc5R08Uq6hLb6fWH8dG+jAKBggqhkjOPQQDAgNIADBF\n"
    "AiBmWcgmtodK4huQf0vONS5Pu5dyzsjULb7W+UKgE2Kz0AIhAJNP9RfaZS1f2shR\n"
    "T/f+2Q/fdtBkUSvcF4v2sG1CU4CX\n"
    "-----END CERTIFICATE-----\n";

static const char pem_stranger_key[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgi5YrVSLy6fCfuXW6\n"
    "wdTC9r8cNIyM2tnZOES3nuae7ZuhRANCAATaXmg0tEDgek37O1ewyvaFmERXIbXK\n"
    "A//8X1w6S5bLXaU47dnxRDEGMCwV4u2ygyuNN0gmOZuNphFjvNJ0eBqb\n"
    "-----END PRIVATE KEY-----\n";

#endif
