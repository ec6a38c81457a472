"""How sites say no: headers, pages, files of hosts in; allow, deny or unknown, and why, out."""
