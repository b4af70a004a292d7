# python3: subprocess.
# expect: 9
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 "$SCRIPTS/python-subprocess.py"
