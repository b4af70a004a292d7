# python3: a virtual environment without pip, and a package run from it.
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 -c 'import ensurepip' 2>/dev/null || true
/usr/bin/python3 -m venv --without-pip v && v/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix, sys.prefix.endswith("/v"))'
ls v v/bin | sort; . v/bin/activate; command -v python | sed 's,.*/v/,v/,'; python -c 'import json, ssl, hashlib, ctypes; print(json.dumps({"a": [1, None]}), hashlib.sha1(b"").hexdigest())'
mkdir pkg; echo 'print("package")' >pkg/__main__.py; python -m pkg; /usr/bin/python3 -m zipfile -c z.zip pkg && /usr/bin/python3 -m zipfile -l z.zip | tail -1 | awk '{print $1}'; python -m compileall -q pkg; ls pkg; deactivate
