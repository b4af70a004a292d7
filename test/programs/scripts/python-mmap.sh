# python3: mmap.
# needs: /usr/bin/python3
# limit: 120
/usr/bin/python3 "$SCRIPTS/python-mmap.py"
