//! Tables for the tests of the server.

use crate::tables::schema::{
    HOSTS, LINUXIMAGE, LITEFILE, LITETREE, NODELIST, NODERES, NODETYPE, OSIMAGE, POLICY, SITE,
    STATELITE,
};
use crate::tables::{Row, Site, Table};

/// A row of `column=value` words; values have no blanks.
pub fn row(table: &Table, cells: &str) -> Row {
    let mut row = Row::new(table);
    for cell in cells.split_whitespace() {
        let (column, value) = cell.split_once('=').unwrap();
        assert!(row.set(table, column, Some(value.to_owned())), "{column}");
    }
    row
}

/// Nodes n01 to n05 and the service node sn1; n04 and n05 have one address between them.
pub fn site() -> Site {
    let mut site = Site::default();
    let rows: &[(&'static Table, &[&str])] = &[
        (
            &NODELIST,
            &[
                "node=n01 groups=compute,all",
                "node=n02 groups=compute,all",
                "node=n03 groups=all",
                "node=n04 groups=all",
                "node=n05 groups=all",
                "node=sn1 groups=service",
            ],
        ),
        (
            &HOSTS,
            &[
                "node=n01 ip=10.0.0.1 otherinterfaces=-ib0:10.0.1.1,x",
                "node=compute ip=|n0(\\d)|10.0.0.$1|",
                "node=n04 ip=10.0.0.77",
                "node=n05 ip=10.0.0.77",
                "node=sn1 ip=10.0.0.200",
            ],
        ),
        (
            &NODETYPE,
            &["node=compute os=debian12 arch=x86_64 profile=compute provmethod=img"],
        ),
        (
            &NODERES,
            &[
                "node=compute servicenode=sn1 xcatmaster=sn1",
                "node=all nfsserver=10.0.0.254",
            ],
        ),
        (&OSIMAGE, &["imagename=img provmethod=statelite"]),
        (
            &LINUXIMAGE,
            &["imagename=img rootimgdir=/install/netboot/img"],
        ),
        (
            &LITEFILE,
            &[
                "image=ALL file=/etc/adjtime options=tmpfs",
                "image=ALL file=/etc/ntp.conf",
                "image=img file=/var/log/ options=persistent",
                "image=other file=/etc/none options=tmpfs",
            ],
        ),
        (
            &LITETREE,
            &[
                "priority=2.0 image=img directory=cnfs:/gpfs/$nodetype.profile",
                "priority=1 image=ALL directory=$noderes.nfsserver:/statelite/$node",
            ],
        ),
        (&STATELITE, &["node=compute statemnt=cnfs:/state"]),
        (
            &POLICY,
            &[
                "priority=4.7 commands=litefile rule=allow",
                "priority=4.8 commands=litetree rule=allow",
                "priority=7.1 commands=getpartition rule=allow",
            ],
        ),
        (&SITE, &["key=master value=mn"]),
    ];
    for (table, rows) in rows {
        for cells in *rows {
            site.add(table, row(table, cells));
        }
    }
    site
}
