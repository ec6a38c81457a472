"""How sites say no: headers, pages and files of hosts in; allow, deny or unknown, and by what, out."""
